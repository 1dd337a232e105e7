const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/**
 * Milliseconds in a duration such as `30s`, `1h30m`, `1.5h` or `0`. Any other number needs its unit.
 * @throws RangeError with a sentence that says what is accepted
 */
export function parseDuration(text: string): number {
  const trimmed = text.trim()
  if (trimmed === '0') return 0
  let ms = Number.NaN
  if (/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(trimmed)) {
    ms = 0
    for (const [, amount, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
      ms += Number(amount) * (unitMs[unit ?? ''] ?? Number.NaN)
    }
  }
  if (!Number.isSafeInteger(Math.round(ms))) {
    throw new RangeError('expected a duration such as 500ms, 30s, 10m or 1h30m (ms, s, m, h, d)')
  }
  return Math.round(ms)
}

/** The shortest exact way to write it: in the largest unit that divides it. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's']) {
    const length = unitMs[unit] ?? 1
    if (ms > 0 && ms % length === 0) return `${ms / length}${unit}`
  }
  return `${ms}ms`
}
