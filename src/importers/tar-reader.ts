import { isUtf8 } from 'node:buffer'
import { Header } from 'tar'
import { AssetError } from '../asset/errors.ts'
import { headerOverrides, type PaxRecords, parsePaxRecords } from './pax-records.ts'
import { badEntry } from './tree-path.ts'

export interface TarEntry {
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink'
  readonly path: string
  /** Of a symlink or hard link; empty otherwise. */
  readonly linkPath: string
  readonly isExecutable: boolean
  readonly sizeBytes: number
}

/** Gets the entries in order. The bytes of a file follow its entry, then `fileEnd`. */
export interface TarSink {
  entry(entry: TarEntry): void | Promise<void>
  /** The memory is valid until the promise resolves. */
  data(bytes: Uint8Array): void | Promise<void>
  fileEnd(): void | Promise<void>
}

const blockBytes = 512
/** Long names and pax headers beyond this are no names that a tree could hold. */
const metaBytesMax = 1024 * 1024

type Meta = 'pax' | 'global-pax' | 'path' | 'link-path'

const metaTypes: Readonly<Record<string, Meta>> = {
  ExtendedHeader: 'pax',
  OldExtendedHeader: 'pax',
  GlobalExtendedHeader: 'global-pax',
  NextFileHasLongPath: 'path',
  OldGnuLongPath: 'path',
  NextFileHasLongLinkpath: 'link-path',
}

const entryTypes: Readonly<Record<string, TarEntry['type']>> = {
  File: 'file',
  OldFile: 'file',
  ContiguousFile: 'file',
  Directory: 'directory',
  GNUDumpDir: 'directory',
  SymbolicLink: 'symlink',
  Link: 'hardlink',
}

/**
 * Cuts a tar stream into entries. `tar` decodes the header blocks; the framing is done here, because
 * its parser hands out long names that were decoded piecewise (a character on the border of two
 * chunks is lost), drops pax values with line feeds, and says nothing of a header that is cut short.
 *
 * Errors are AssetErrors, INVALID_ARGUMENT: damaged or cut short, or an entry that is neither file,
 * directory nor link.
 */
export class TarReader {
  readonly #sink: TarSink
  readonly #header = Buffer.alloc(blockBytes)
  #headerBytes = 0
  /** Content of the current entry that is still to come, and the padding after it. */
  #contentBytes = 0
  #paddingBytes = 0
  #meta: { readonly type: Meta; readonly parts: Buffer[] } | undefined
  #inFile = false
  #next: PaxRecords = { isSparse: false }
  #global: PaxRecords = { isSparse: false }
  #zeroBlocks = 0
  #headersSeen = 0

  constructor(sink: TarSink) {
    this.#sink = sink
  }

  /** True when the two zero blocks were seen; what comes after them is not part of the archive. */
  get hasEnded(): boolean {
    return this.#zeroBlocks >= 2
  }

  async write(chunk: Buffer): Promise<void> {
    let at = 0
    while (at < chunk.length && !this.hasEnded) {
      if (this.#contentBytes > 0) {
        const part = chunk.subarray(at, at + this.#contentBytes)
        at += part.length
        this.#contentBytes -= part.length
        const wait = this.#content(part)
        if (wait) await wait
        if (this.#contentBytes === 0) await this.#contentEnd()
      } else if (this.#paddingBytes > 0) {
        const skipped = Math.min(this.#paddingBytes, chunk.length - at)
        this.#paddingBytes -= skipped
        at += skipped
      } else if (this.#headerBytes === 0 && chunk.length - at >= blockBytes) {
        const wait = this.#block(chunk, at)
        at += blockBytes
        if (wait) await wait
      } else {
        const copied = chunk.copy(this.#header, this.#headerBytes, at)
        at += copied
        this.#headerBytes += copied
        if (this.#headerBytes < blockBytes) continue
        this.#headerBytes = 0
        await this.#block(this.#header, 0)
      }
    }
  }

  /**
   * To be called after the last chunk. An archive without its end mark is accepted only if
   * something else proves that it is whole, such as the checksum of a gzip stream around it: GNU tar
   * takes these, and some writers make them.
   */
  end(options: { readonly needsEndMark: boolean }): void {
    if (this.#headersSeen === 0 && this.#zeroBlocks === 0) throw damaged('it holds no entry')
    const isInside = this.#contentBytes > 0 || this.#paddingBytes > 0 || this.#headerBytes > 0
    if (!this.hasEnded && (isInside || this.#meta)) throw damaged('it is cut short inside an entry')
    if (options.needsEndMark && this.#zeroBlocks === 0) {
      throw damaged('it is cut short: its end mark is missing')
    }
  }

  #block(block: Buffer, at: number): void | Promise<void> {
    const header = this.#decode(block, at)
    if (header.nullBlock) {
      this.#zeroBlocks++
      return
    }
    if (!header.cksumValid) {
      throw damaged(
        this.#headersSeen === 0 ? 'it is not a tar archive' : 'a header checksum is wrong',
      )
    }
    this.#zeroBlocks = 0
    this.#headersSeen++
    const sizeBytes = header.size ?? 0
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
      throw damaged('an entry has no valid size')
    const meta = metaTypes[header.type ?? '']
    if (meta) {
      if (sizeBytes > metaBytesMax) throw damaged('a header for long names is over 1 MiB')
      this.#meta = { type: meta, parts: [] }
      this.#expect(sizeBytes)
      return sizeBytes === 0 ? this.#contentEnd() : undefined
    }
    return this.#entry(header, sizeBytes, block, at)
  }

  #decode(block: Buffer, at: number): Header {
    try {
      return new Header(block, at, headerOverrides(this.#next), headerOverrides(this.#global))
    } catch (error) {
      throw damaged(error instanceof Error ? error.message : 'unreadable header')
    }
  }

  /** A Directory names by UTF-8 only. What was something else became U+FFFD. */
  #isTextOk(names: string, block: Buffer, at: number): boolean {
    if (!names.includes('\ufffd')) return true
    // Long names have been checked; the short ones beside them may be cut inside a character.
    const fields: [number, number][] = []
    if (this.#next.path === undefined) fields.push([0, 100], [345, 500])
    if (this.#next.linkpath === undefined) fields.push([157, 257])
    return fields.every(([from, to]) => isUtf8(block.subarray(at + from, at + to)))
  }

  #entry(header: Header, sizeBytes: number, block: Buffer, at: number): void | Promise<void> {
    // `Header` puts the ustar prefix before a pax path, and its own link before a pax one.
    const path = this.#next.path ?? header.path ?? ''
    const linkPath = this.#next.linkpath ?? header.linkpath ?? ''
    if (header.type === 'TapeVolumeHeader') {
      this.#expect(sizeBytes)
      return
    }
    const type = entryTypes[header.type ?? '']
    if (!type) throw badEntry(path, `is neither file, directory nor link: ${header.type}`)
    if (this.#next.isSparse) throw badEntry(path, 'is a sparse file')
    if (!this.#isTextOk(path + linkPath, block, at))
      throw badEntry(path, 'has a name that is not UTF-8')
    // Formats differ on whether such a body is there, so what follows could be read either way.
    if (type !== 'file' && type !== 'directory' && sizeBytes > 0) {
      throw badEntry(path, `is a ${type} with content of its own`)
    }
    this.#next = { isSparse: false }
    this.#expect(sizeBytes)
    this.#inFile = type === 'file'
    const isExecutable = ((header.mode ?? 0) & 0o100) !== 0
    const wait = this.#sink.entry({ type, path, linkPath, isExecutable, sizeBytes })
    if (!this.#inFile || sizeBytes > 0) return wait
    return wait ? wait.then(() => this.#contentEnd()) : this.#contentEnd()
  }

  #expect(sizeBytes: number): void {
    this.#contentBytes = sizeBytes
    this.#paddingBytes = (blockBytes - (sizeBytes % blockBytes)) % blockBytes
  }

  #content(part: Buffer): void | Promise<void> {
    if (this.#inFile) return this.#sink.data(part)
    this.#meta?.parts.push(Buffer.from(part))
  }

  #contentEnd(): void | Promise<void> {
    if (this.#inFile) {
      this.#inFile = false
      return this.#sink.fileEnd()
    }
    if (!this.#meta) return
    const { type, parts } = this.#meta
    this.#meta = undefined
    const bytes = Buffer.concat(parts)
    if (type === 'pax') this.#next = { ...this.#next, ...parsePax(bytes) }
    else if (type === 'global-pax') this.#global = { ...this.#global, ...parsePax(bytes) }
    else if (type === 'path') this.#next = { ...this.#next, path: cString(bytes) }
    else this.#next = { ...this.#next, linkpath: cString(bytes) }
  }
}

function parsePax(bytes: Buffer): PaxRecords {
  try {
    return parsePaxRecords(bytes)
  } catch (error) {
    throw damaged(error instanceof Error ? error.message : 'malformed pax header')
  }
}

function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  const text = bytes.subarray(0, end < 0 ? bytes.length : end)
  if (!isUtf8(text)) throw damaged('a long name is not UTF-8')
  return text.toString()
}

function damaged(problem: string): AssetError {
  return new AssetError('INVALID_ARGUMENT', `the tar archive cannot be read: ${problem}`)
}
