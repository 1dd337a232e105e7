/** The parts of a Directory, each list already sorted by the UTF-8 bytes of its names. */
export interface DirectoryParts {
  readonly files: readonly {
    name: string
    hash: string
    sizeBytes: number
    isExecutable: boolean
  }[]
  readonly directories: readonly { name: string; hash: string; sizeBytes: number }[]
  readonly symlinks: readonly { name: string; target: string }[]
}

/**
 * Writes the canonical bytes of build.bazel.remote.execution.v2.Directory: fields in tag order,
 * defaults left out. By hand, because loading the generated codec costs each worker more time and
 * memory than a small archive; a test compares the two.
 */
export class DirectoryEncoder {
  #buffer = Buffer.allocUnsafe(64 * 1024)
  #at = 0

  /** A view that is overwritten by the next call. */
  encode(parts: DirectoryParts): Uint8Array {
    this.#at = 0
    for (const { name, hash, sizeBytes, isExecutable } of parts.files) {
      const digestLength = digestBytes(hash, sizeBytes)
      const nameLength = Buffer.byteLength(name)
      const length = field(nameLength) + field(digestLength) + (isExecutable ? 2 : 0)
      this.#open(0x0a, length)
      this.#text(0x0a, name, nameLength)
      this.#digest(hash, sizeBytes, digestLength)
      if (isExecutable) {
        this.#buffer[this.#at++] = 0x20
        this.#buffer[this.#at++] = 1
      }
    }
    for (const { name, hash, sizeBytes } of parts.directories) {
      const digestLength = digestBytes(hash, sizeBytes)
      const nameLength = Buffer.byteLength(name)
      this.#open(0x12, field(nameLength) + field(digestLength))
      this.#text(0x0a, name, nameLength)
      this.#digest(hash, sizeBytes, digestLength)
    }
    for (const { name, target } of parts.symlinks) {
      const nameLength = Buffer.byteLength(name)
      const targetLength = Buffer.byteLength(target)
      this.#open(0x1a, field(nameLength) + field(targetLength))
      this.#text(0x0a, name, nameLength)
      this.#text(0x12, target, targetLength)
    }
    return this.#buffer.subarray(0, this.#at)
  }

  /** Begins a message in a list, and makes room for all of it. */
  #open(tag: number, length: number): void {
    const needed = this.#at + length + 16
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
      this.#buffer.copy(larger, 0, 0, this.#at)
      this.#buffer = larger
    }
    this.#buffer[this.#at++] = tag
    this.#varint(length)
  }

  #text(tag: number, text: string, length: number): void {
    this.#buffer[this.#at++] = tag
    this.#varint(length)
    this.#at += this.#buffer.write(text, this.#at, 'utf8')
  }

  #digest(hash: string, sizeBytes: number, length: number): void {
    this.#buffer[this.#at++] = 0x12
    this.#varint(length)
    this.#buffer[this.#at++] = 0x0a
    this.#varint(hash.length)
    this.#at += this.#buffer.write(hash, this.#at, 'latin1')
    if (sizeBytes === 0) return
    this.#buffer[this.#at++] = 0x10
    this.#varint(sizeBytes)
  }

  /** Division instead of shifts, since sizes go beyond 32 bits. */
  #varint(value: number): void {
    let rest = value
    while (rest > 0x7f) {
      this.#buffer[this.#at++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.#buffer[this.#at++] = rest
  }
}

function digestBytes(hash: string, sizeBytes: number): number {
  return field(hash.length) + (sizeBytes === 0 ? 0 : 1 + varintBytes(sizeBytes))
}

/** Bytes of a length-delimited field with a one-byte tag. */
function field(length: number): number {
  return 1 + varintBytes(length) + length
}

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) bytes++
  return bytes
}
