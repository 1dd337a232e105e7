import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { AssetError } from '../../asset/errors.ts'
import { codeOf } from '../../util/writer-messages.ts'

/**
 * Keeps a second process off a data directory. It is a lock of the operating system on a small
 * SQLite file, so it goes away with the process, however that ends.
 * @throws AssetError FAILED_PRECONDITION if the directory is in use.
 */
export function lockDirectory(directory: string): Disposable {
  mkdirSync(directory, { recursive: true })
  const database = new Database(join(directory, 'lock.sqlite'), { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (!codeOf(error).startsWith('SQLITE_BUSY')) throw error
    throw new AssetError(
      'FAILED_PRECONDITION',
      `the directory ${directory} is in use by another process; stop it or choose another one`,
    )
  }
  return { [Symbol.dispose]: () => void database.close() }
}
