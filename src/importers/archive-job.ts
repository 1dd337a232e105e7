import { formatBytes, recogniseArchive } from './archive-format.ts'
import { decompress } from './decompress.ts'
import { DirectoryBuilder } from './directory-builder.ts'
import type { ArchiveJob, FoundBlob } from './job-messages.ts'
import type { JobPort } from './job-port.ts'
import { OutgoingBlobs } from './outgoing-blobs.ts'
import { sendTree } from './send-tree.ts'
import { type TarEntry, TarReader, type TarSink } from './tar-reader.ts'
import type { FileNode } from './tree-nodes.ts'
import { beyondLimit } from './tree-path.ts'

/** A small archive may have any ratio: a source file of blanks is no attack. */
const ratioFreeBytes = 16 * 1024 * 1024

/** Runs in a worker: unpacks the archive that comes over the port. Returns the root's digest. */
export async function runArchiveJob(job: ArchiveJob, port: JobPort): Promise<FoundBlob> {
  const { selection, limits } = job
  const blobs = new OutgoingBlobs(port, selection.digestFunction)
  const builder = new DirectoryBuilder({ digestFunction: selection.digestFunction, limits })
  const reader = new TarReader(new TreeSink(builder, blobs))
  const packed = await startOf(port.chunks())
  const format = recogniseArchive(packed.start)
  const ratioBytesMax = Math.max(ratioFreeBytes, limits.ratioMax * job.packedBytes)
  let unpackedBytes = 0
  // Read to the end even after the tar's end mark, so that the checksum of the stream is checked.
  for await (const chunk of decompress(format, packed.chunks)) {
    unpackedBytes += chunk.length
    if (format !== 'tar' && unpackedBytes > ratioBytesMax) {
      throw beyondLimit('ratioMax', limits.ratioMax)
    }
    if (unpackedBytes > tarBytesMax(limits)) {
      throw beyondLimit('unpackedBytesMax', limits.unpackedBytesMax)
    }
    await reader.write(chunk)
    if (format !== 'tar') freeUsed(chunk)
  }
  reader.end({ needsEndMark: format === 'tar' })
  return sendTree(builder, selection, blobs)
}

/**
 * Frees the memory of decoder output at once. To the garbage collector, megabytes outside its heap
 * look like nothing, so that a hundred of them may be waiting for it. A decoder goes on filling a
 * buffer up to its end, so whoever has used up the end has used up all of it.
 */
function freeUsed({ buffer, byteOffset, byteLength }: Buffer<ArrayBuffer>): void {
  if (byteOffset + byteLength === buffer.byteLength) buffer.transfer(0)
}

/** All that a tar may be: content, a header and padding an entry, and as much again for names. */
function tarBytesMax(limits: ArchiveJob['limits']): number {
  return limits.unpackedBytesMax + limits.entriesMax * 4096 + ratioFreeBytes
}

class TreeSink implements TarSink {
  readonly #builder: DirectoryBuilder
  readonly #blobs: OutgoingBlobs
  #file: FileNode | undefined

  constructor(builder: DirectoryBuilder, blobs: OutgoingBlobs) {
    this.#builder = builder
    this.#blobs = blobs
  }

  entry({ type, path, linkPath, isExecutable, sizeBytes }: TarEntry): void | Promise<void> {
    if (type === 'directory') this.#builder.addDirectory(path)
    else if (type === 'symlink') this.#builder.addSymlink(path, linkPath)
    else if (type === 'hardlink') this.#builder.addHardLink(path, linkPath)
    else {
      this.#builder.claimBytes(path, sizeBytes)
      this.#file = this.#builder.addFile(path, isExecutable)
      return this.#blobs.begin(sizeBytes)
    }
  }

  data(bytes: Uint8Array): void | Promise<void> {
    return this.#blobs.append(bytes)
  }

  fileEnd(): void | Promise<void> {
    const found = this.#blobs.end()
    if (found instanceof Promise) return found.then((blob) => this.#fill(blob))
    this.#fill(found)
  }

  #fill({ hash, sizeBytes }: FoundBlob): void {
    if (!this.#file) throw new Error('content without an entry')
    this.#file.hash = hash
    this.#file.sizeBytes = sizeBytes
    this.#file = undefined
  }
}

/** Reads on until the format can be told; `chunks` gives all again. */
async function startOf(chunks: AsyncGenerator<Uint8Array>) {
  const held: Uint8Array[] = []
  let length = 0
  while (length < formatBytes) {
    const next = await chunks.next()
    if (next.done) break
    held.push(next.value)
    length += next.value.byteLength
  }
  async function* all() {
    yield* held
    yield* chunks
  }
  return { start: Buffer.concat(held).subarray(0, formatBytes), chunks: all() }
}
