import { AssetError } from '../asset/errors.ts'

export type ArchiveFormat = 'tar' | 'tar+gzip' | 'tar+zstd'

/** Bytes from the start that decide the format: a whole tar header. */
export const formatBytes = 512

const magics: readonly { readonly name: string; readonly at: number; readonly hex: string }[] = [
  { name: 'gzip', at: 0, hex: '1f8b' },
  { name: 'zstd', at: 0, hex: '28b52ffd' },
  { name: 'xz', at: 0, hex: 'fd377a585a00' },
  { name: 'bzip2', at: 0, hex: '425a68' },
  { name: 'zip', at: 0, hex: '504b0304' },
  { name: 'empty zip', at: 0, hex: '504b0506' },
  { name: '7z', at: 0, hex: '377abcaf271c' },
  { name: 'lz4', at: 0, hex: '04224d18' },
  { name: 'lzip', at: 0, hex: '4c5a4950' },
  { name: 'lzma', at: 0, hex: '5d00008000' },
  { name: 'compress', at: 0, hex: '1f9d' },
  { name: 'ar or deb', at: 0, hex: '213c617263683e0a' },
  { name: 'rpm', at: 0, hex: 'edabeedb' },
  { name: 'cpio', at: 0, hex: '303730373031' },
  { name: 'cpio', at: 0, hex: '303730373037' },
  { name: 'rar', at: 0, hex: '526172211a07' },
  { name: 'PDF', at: 0, hex: '255044462d' },
]

/**
 * Tells by content what an archive is; file names are not looked at, since they lie.
 * @param start the first `formatBytes` bytes, or all if there are fewer
 * @throws AssetError INVALID_ARGUMENT saying what it looks like
 */
export function recogniseArchive(start: Buffer): ArchiveFormat {
  const magic = magics.find(({ at, hex }) => {
    return start.toString('hex', at, at + hex.length / 2) === hex
  })
  if (magic?.name === 'gzip') return 'tar+gzip'
  if (magic?.name === 'zstd') return 'tar+zstd'
  if (!magic && looksLikeTar(start)) return 'tar'
  throw new AssetError(
    'INVALID_ARGUMENT',
    `archive format not supported: looks like ${magic?.name ?? describe(start)}`,
  )
}

/** A header block whose checksum is right, or a zero block, which begins an empty archive. */
function looksLikeTar(start: Buffer): boolean {
  if (start.length < formatBytes) return false
  let sum = 8 * 0x20
  for (let at = 0; at < formatBytes; at++) {
    if (at < 148 || at >= 156) sum += start[at] ?? 0
  }
  if (sum === 8 * 0x20) return true
  const stored = start.toString('latin1', 148, 156).replace(/\0.*$/s, '').trim()
  return Number.parseInt(stored, 8) === sum
}

function describe(start: Buffer): string {
  if (start.length === 0) return 'an empty file'
  const text = start.toString('latin1').trimStart().toLowerCase()
  if (text.startsWith('<!doctype html') || text.startsWith('<html')) return 'an HTML page'
  return 'no archive'
}
