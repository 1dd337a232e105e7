import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { codeOf } from '../../util/writer-messages.ts'

/** Where the file of a blob is: `blobs/ab/<sha256>`. */
export function blobPath(directory: string, sha256: string): string {
  return `${directory}/blobs/${sha256.slice(0, 2)}/${sha256}`
}

export function tempPath(directory: string, name: string): string {
  return join(directory, 'tmp', name)
}

/** The writer's view of the files that hold large blobs. All calls are synchronous. */
export class BlobFiles {
  readonly #directory: string
  readonly #isStrict: boolean
  readonly #folders = new Set<string>()

  constructor(directory: string, isStrict: boolean) {
    this.#directory = directory
    this.#isStrict = isStrict
    mkdirSync(join(directory, 'blobs'), { recursive: true })
    mkdirSync(join(directory, 'tmp'), { recursive: true })
  }

  /** Removes what uploads have left when the process was killed. */
  sweepTemporary(): void {
    for (const name of readdirSync(join(this.#directory, 'tmp'))) {
      rmSync(tempPath(this.#directory, name), { recursive: true, force: true })
    }
  }

  /** Writes under the final name: no reader looks for it before its row is committed. */
  create(sha256: string, data: Uint8Array): void {
    const path = this.#preparePath(sha256)
    const fd = openSync(path, 'wx', 0o644)
    try {
      let written = 0
      while (written < data.byteLength) written += writeSync(fd, data, written)
      if (this.#isStrict) fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    this.#syncFolder(sha256)
  }

  /** Takes over a temporary file, whose bytes are synced already if need be. */
  adopt(tempName: string, sha256: string): void {
    renameSync(tempPath(this.#directory, tempName), this.#preparePath(sha256))
    this.#syncFolder(sha256)
  }

  /** Undefined if there is no such file. */
  sizeBytes(sha256: string): number | undefined {
    return statSync(blobPath(this.#directory, sha256), { throwIfNoEntry: false })?.size
  }

  remove(sha256: string): void {
    removeFile(blobPath(this.#directory, sha256))
  }

  removeTemporary(tempName: string): void {
    removeFile(tempPath(this.#directory, tempName))
  }

  #preparePath(sha256: string): string {
    const path = blobPath(this.#directory, sha256)
    const folder = sha256.slice(0, 2)
    if (!this.#folders.has(folder)) {
      mkdirSync(join(this.#directory, 'blobs', folder), { recursive: true })
      if (this.#isStrict) syncPath(join(this.#directory, 'blobs'))
      this.#folders.add(folder)
    }
    // A file without a row may be left from an eviction in this very group, with readers on it:
    // the new one gets an inode of its own.
    removeFile(path)
    return path
  }

  #syncFolder(sha256: string): void {
    if (this.#isStrict) syncPath(join(this.#directory, 'blobs', sha256.slice(0, 2)))
  }
}

function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

function syncPath(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
