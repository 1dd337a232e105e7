import { access, constants, mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CliError } from './cli-error.ts'
import { systemReason } from './system-error.ts'

/**
 * Makes the directory, and those above it, unless they are there.
 * @throws CliError if nothing can be written in it
 */
export async function makeDataDirectory(path: string): Promise<void> {
  try {
    await makeAll(path)
    await access(path, constants.W_OK | constants.X_OK)
  } catch (error) {
    const reason = systemReason(error) ?? (error as Error).message
    throw new CliError(
      `The data directory ${path} cannot be used: ${reason}; choose another with --data (data).`,
    )
  }
}

/**
 * Node's own recursive mkdir says ENOENT where the file system is read-only, and never returns
 * where the system refuses new entries with ENOENT, as /proc does.
 */
async function makeAll(path: string): Promise<void> {
  const status = await stat(path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' || dirname(path) === path) throw error
    await makeAll(dirname(path))
    await mkdir(path).catch(ignoreExisting)
    return stat(path)
  })
  if (!status.isDirectory()) throw new Error('it is a file, not a directory')
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}
