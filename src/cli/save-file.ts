import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { lstat, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Digest } from '../asset/digest.ts'
import { CliError } from './cli-error.ts'
import { Progress } from './progress.ts'
import { type Remote, readBlob } from './remote-blobs.ts'
import { systemReason } from './system-error.ts'
import { temporaryPath } from './temporary-path.ts'

/** Stores a blob under a path: the file appears whole and verified, or not at all. */
export async function saveFile(remote: Remote, digest: Digest, path: string): Promise<void> {
  if (path === '') throw new CliError('--output needs a path.')
  const target = resolve(path)
  const existing = await lstat(target).catch(() => undefined)
  if (existing?.isDirectory()) throw new CliError(`${path} is a directory; name a file.`)
  const temporary = join(dirname(target), `.${basename(target)}.${randomUUID()}.part`)
  using _ = temporaryPath(temporary)
  using progress = new Progress(basename(target), digest.sizeBytes)
  const chunks = async function* () {
    for await (const chunk of readBlob(remote, digest)) {
      progress.add(chunk.byteLength)
      yield chunk
    }
  }
  try {
    await pipeline(Readable.from(chunks()), createWriteStream(temporary, { flags: 'wx' }))
    await rename(temporary, target)
  } catch (error) {
    // The failure that led here is the one to report, e.g. if the path leads through a file.
    await rm(temporary, { force: true }).catch(() => undefined)
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new CliError(`${path} cannot be written: its directory does not exist.`)
    }
    const reason = systemReason(error)
    throw reason === undefined ? error : new CliError(`${path} cannot be written: ${reason}.`)
  }
}
