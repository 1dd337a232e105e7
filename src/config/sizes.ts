const unitBytes: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1000,
  KB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  TB: 1000 ** 4,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
}

/**
 * Bytes in a size such as `10GiB`, `1.5 MB` or `4096`. Units are case-sensitive, so that nobody has
 * to guess what `10g` is.
 * @throws RangeError with a sentence that says what is accepted
 */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text.trim())
  const unit = unitBytes[match?.[2] || 'B']
  const bytes = match && unit !== undefined ? Math.round(Number(match[1]) * unit) : Number.NaN
  if (!Number.isSafeInteger(bytes)) {
    throw new RangeError('expected a size such as 512MiB or 10GiB (B, KB, KiB, MB, MiB, … TiB)')
  }
  return bytes
}

/** The shortest exact way to write it: in the largest binary unit that divides it. */
export function formatSize(sizeBytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const bytes = unitBytes[unit] ?? 1
    if (sizeBytes > 0 && sizeBytes % bytes === 0) return `${sizeBytes / bytes}${unit}`
  }
  return `${sizeBytes}B`
}
