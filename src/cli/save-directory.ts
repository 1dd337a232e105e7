import { createWriteStream } from 'node:fs'
import { chmod, lstat, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join, posix, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Digest } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import { CliError } from './cli-error.ts'
import { Progress } from './progress.ts'
import { batchBytesMax, callFailure, type Remote, readBatch, readBlob } from './remote-blobs.ts'
import { type RemoteFile, type RemoteTree, readTree } from './remote-tree.ts'
import { systemReason } from './system-error.ts'
import { temporaryPath } from './temporary-path.ts'

/** Small files of one BatchReadBlobs; bounds the message whatever their sizes. */
const batchFilesMax = 500

/** Makes a directory of a tree: it appears whole and verified, or not at all. */
export async function saveDirectory(remote: Remote, root: Digest, path: string): Promise<void> {
  const target = resolve(path)
  const existing = await lstat(target).catch(() => undefined)
  if (existing) throw new CliError(`${path} exists already; name a directory that does not.`)
  const prefix = join(dirname(target), `.${basename(target)}.part-`)
  const temporary = await mkdtemp(prefix).catch((error: NodeJS.ErrnoException) => {
    const isOrphan = error.code === 'ENOENT'
    const reason = isOrphan
      ? 'its directory does not exist'
      : (systemReason(error) ?? error.message)
    throw new CliError(`${path} cannot be made: ${reason}.`)
  })
  using _ = temporaryPath(temporary)
  try {
    const tree = await readTree(remote, root)
    await write(remote, tree, temporary, basename(target))
    // mkdtemp makes it private; what is made here is as visible as anything else one makes.
    await chmod(temporary, 0o777 & ~process.umask())
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    const reason = systemReason(error)
    if (reason !== undefined) throw new CliError(`${path} cannot be made: ${reason}.`)
    throw callFailure(error, remote)
  }
}

async function write(remote: Remote, tree: RemoteTree, top: string, name: string): Promise<void> {
  const totalBytes = tree.files.reduce((sum, file) => sum + file.digest.sizeBytes, 0)
  using progress = new Progress(name, totalBytes)
  for (const path of tree.directories) await mkdir(join(top, path))
  for (const batch of batches(tree.files)) {
    await writeBatch(remote, batch, top)
    for (const { digest } of batch) progress.add(digest.sizeBytes)
  }
  // Last of all, so that nothing was ever written through one.
  for (const { path, target } of tree.symlinks) {
    if (leavesTree(path, target)) {
      throw new AssetError('PERMISSION_DENIED', `the symlink ${path} leaves the directory`)
    }
    await symlink(target, join(top, path))
  }
}

async function writeBatch(
  remote: Remote,
  batch: readonly RemoteFile[],
  top: string,
): Promise<void> {
  const [first] = batch
  if (first && first.digest.sizeBytes > batchBytesMax) {
    const options = { flags: 'wx', mode: modeOf(first) }
    const file = createWriteStream(join(top, first.path), options)
    return pipeline(Readable.from(readBlob(remote, first.digest)), file)
  }
  const contents = await readBatch(
    remote,
    batch.map(({ digest }) => digest),
  )
  for (const [index, file] of batch.entries()) {
    const options = { flag: 'wx', mode: modeOf(file) }
    await writeFile(join(top, file.path), contents[index] ?? '', options)
  }
}

function modeOf({ isExecutable }: RemoteFile): number {
  return isExecutable ? 0o777 : 0o666
}

/** Files that are read by one call; a large one is alone. */
function* batches(files: readonly RemoteFile[]): Generator<RemoteFile[]> {
  let batch: RemoteFile[] = []
  let bytes = 0
  for (const file of files) {
    const isFull = bytes + file.digest.sizeBytes > batchBytesMax || batch.length >= batchFilesMax
    if (isFull && batch.length > 0) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(file)
    bytes += file.digest.sizeBytes
  }
  if (batch.length > 0) yield batch
}

function leavesTree(path: string, target: string): boolean {
  if (posix.isAbsolute(target)) return true
  const reached = posix.normalize(posix.join(posix.dirname(path), target))
  return reached === '..' || reached.startsWith('../')
}
