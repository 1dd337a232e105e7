import { createHash, type Hash } from 'node:crypto'
import { quoteShort } from '../asset/digest.ts'
import { DirectoryBuilder } from './directory-builder.ts'
import { damaged, type GitObjectSink, listTree, readObjects } from './git-objects.ts'
import type { CommitJob, FoundBlob } from './job-messages.ts'
import type { JobPort } from './job-port.ts'
import { OutgoingBlobs } from './outgoing-blobs.ts'
import { sendTree } from './send-tree.ts'
import type { FileNode } from './tree-nodes.ts'
import { badEntry, beyondLimit, selectedPath } from './tree-path.ts'

/** Ids that are asked for in one message, so that the main thread answers in short turns. */
const findMax = 1000

/** What waits for the content of one object. */
interface Wanted {
  readonly files: { readonly node: FileNode; readonly path: string }[]
  readonly symlinks: string[]
}

/** Runs in a worker: reads a commit's tree from a bare repository. Returns the root's digest. */
export async function runCommitJob(job: CommitJob, port: JobPort): Promise<FoundBlob> {
  const { selection, limits } = job
  const builder = new DirectoryBuilder({ digestFunction: selection.digestFunction, limits })
  const blobs = new OutgoingBlobs(port, selection.digestFunction)
  const wanted = await readTree(job, builder)
  // Ids of SHA-256 repositories are not names that the store keeps.
  const isSha1 = job.commit.length === 40
  if (isSha1) await fillKnown(wanted, builder, port)
  const sink = new BlobSink({ wanted, builder, blobs, isSha1, job })
  await readObjects(job, [...wanted.keys()], sink)
  return sendTree(builder, selection, blobs)
}

async function readTree(job: CommitJob, builder: DirectoryBuilder): Promise<Map<string, Wanted>> {
  const { prefix, directory } = selectedPath(job.selection)
  const wanted = new Map<string, Wanted>()
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const top = [...prefix, ...directory].join('/')
  for await (const { mode, id, path: pathBytes } of listTree(job, job.commit, top)) {
    const path = decodePath(decoder, pathBytes)
    // A submodule is an empty directory, as a checkout without its submodules leaves it.
    if (mode === '040000' || mode === '160000') {
      builder.addDirectory(path)
      continue
    }
    let wants = wanted.get(id)
    if (!wants) {
      wants = { files: [], symlinks: [] }
      wanted.set(id, wants)
    }
    if (mode === '120000') wants.symlinks.push(path)
    else wants.files.push({ node: builder.addFile(path, mode === '100755'), path })
  }
  return wanted
}

function decodePath(decoder: TextDecoder, bytes: Buffer): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw badEntry(bytes.toString('latin1'), 'has a name that is not UTF-8')
  }
}

/** Content that the store has under its git id is not read again. */
async function fillKnown(
  wanted: Map<string, Wanted>,
  builder: DirectoryBuilder,
  port: JobPort,
): Promise<void> {
  // The target of a symlink is part of a Directory, so its text is needed in any case.
  const ids = [...wanted].filter(([, { symlinks }]) => symlinks.length === 0).map(([id]) => id)
  for (let at = 0; at < ids.length; at += findMax) {
    const asked = ids.slice(at, at + findMax)
    const found = await port.find(asked)
    for (const [index, blob] of found.entries()) {
      const id = asked[index]
      if (!blob || id === undefined) continue
      fill(wanted.get(id), blob, builder)
      wanted.delete(id)
    }
  }
}

function fill(wants: Wanted | undefined, blob: FoundBlob, builder: DirectoryBuilder): void {
  for (const { node, path } of wants?.files ?? []) {
    builder.claimBytes(path, blob.sizeBytes)
    node.hash = blob.hash
    node.sizeBytes = blob.sizeBytes
  }
}

interface BlobSinkParts {
  readonly wanted: ReadonlyMap<string, Wanted>
  readonly builder: DirectoryBuilder
  readonly blobs: OutgoingBlobs
  readonly isSha1: boolean
  readonly job: CommitJob
}

class BlobSink implements GitObjectSink {
  readonly #parts: BlobSinkParts
  #id = ''
  #hash: Hash | undefined
  /** Text of a symlink's target, if one waits for it. */
  #target: Buffer[] = []

  constructor(parts: BlobSinkParts) {
    this.#parts = parts
  }

  begin(id: string, sizeBytes: number): void | Promise<void> {
    const { blobs, isSha1, job } = this.#parts
    this.#id = id
    // git checks nothing but checksums of zlib when it reads, and the store will trust this id.
    this.#hash = createHash(isSha1 ? 'sha1' : 'sha256').update(`blob ${sizeBytes}\0`)
    this.#target = []
    const { files, symlinks } = this.#wants
    if (symlinks.length > 0 && sizeBytes > job.limits.pathBytesMax) {
      throw beyondLimit('pathBytesMax', job.limits.pathBytesMax, symlinks[0])
    }
    for (const { path } of files) this.#parts.builder.claimBytes(path, sizeBytes)
    return files.length > 0 ? blobs.begin(sizeBytes) : undefined
  }

  data(bytes: Buffer): void | Promise<void> {
    this.#hash?.update(bytes)
    const { files, symlinks } = this.#wants
    if (symlinks.length > 0) this.#target.push(Buffer.from(bytes))
    return files.length > 0 ? this.#parts.blobs.append(bytes) : undefined
  }

  end(): void | Promise<void> {
    if (this.#hash?.digest('hex') !== this.#id) throw damaged(`object ${this.#id} is corrupt`)
    const { builder, blobs, isSha1 } = this.#parts
    const { files, symlinks } = this.#wants
    const target = Buffer.concat(this.#target).toString()
    for (const path of symlinks) {
      if (target.includes('\ufffd')) throw badEntry(path, `has a link target that is not UTF-8`)
      builder.addSymlink(path, target)
    }
    if (files.length === 0) return
    const blob = blobs.end({ gitSha1: isSha1 ? this.#id : undefined })
    if (blob instanceof Promise) return blob.then((stored) => this.#fill(files, stored))
    this.#fill(files, blob)
  }

  #fill(files: Wanted['files'], { hash, sizeBytes }: FoundBlob): void {
    for (const { node } of files) {
      node.hash = hash
      node.sizeBytes = sizeBytes
    }
  }

  get #wants(): Wanted {
    const wants = this.#parts.wanted.get(this.#id)
    if (!wants) throw damaged(`git answered with ${quoteShort(this.#id)}, which was not asked for`)
    return wants
  }
}
