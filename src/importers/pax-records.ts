import { isUtf8 } from 'node:buffer'
import type { HeaderData } from 'tar'

/** What pax records say of the next entry, or of all that follow. */
export interface PaxRecords {
  readonly path?: string
  readonly linkpath?: string
  readonly size?: number
  /** The entry is one of GNU's sparse formats, whose content is not what it seems. */
  readonly isSparse: boolean
}

/**
 * Parses pax extended header records, `<length> <keyword>=<value>\n`, by their lengths in bytes: a
 * value may hold line feeds. Only what a tree needs is kept.
 * @throws Error saying what is wrong
 */
export function parsePaxRecords(bytes: Uint8Array): PaxRecords {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const records: { path?: string; linkpath?: string; size?: number; isSparse: boolean } = {
    isSparse: false,
  }
  for (let at = 0; at < buffer.length && buffer[at] !== 0; ) {
    const space = buffer.indexOf(0x20, at)
    const length = space < 0 ? Number.NaN : Number(buffer.toString('latin1', at, space))
    const end = at + length
    if (
      !Number.isInteger(length) ||
      end <= space ||
      end > buffer.length ||
      buffer[end - 1] !== 10
    ) {
      throw new Error('malformed pax header')
    }
    const equals = buffer.indexOf(0x3d, space)
    if (equals < 0 || equals >= end) throw new Error('malformed pax header')
    const keyword = buffer.toString('utf8', space + 1, equals)
    const value = buffer.subarray(equals + 1, end - 1)
    if (keyword === 'path') records.path = nameText(value)
    else if (keyword === 'linkpath') records.linkpath = nameText(value)
    else if (keyword === 'size') records.size = parseSize(value.toString())
    else if (keyword.startsWith('GNU.sparse.')) records.isSparse = true
    at = end
  }
  return records
}

function nameText(value: Buffer): string {
  if (!isUtf8(value)) throw new Error('a name in a pax header is not UTF-8')
  return value.toString()
}

function parseSize(text: string): number {
  const size = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(size)) throw new Error('malformed size in a pax header')
  return size
}

/** The records in the shape in which `tar` lays them over a header. */
export function headerOverrides(records: PaxRecords): HeaderData {
  const { path, linkpath, size } = records
  return {
    ...(path === undefined ? {} : { path }),
    ...(linkpath === undefined ? {} : { linkpath }),
    ...(size === undefined ? {} : { size }),
  }
}
