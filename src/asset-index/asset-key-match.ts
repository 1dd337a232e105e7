import type { Qualifier } from '../asset/qualifiers.ts'

/** True if every qualifier asked for is among those that a row has, and the row has more. */
export function isProperSuperset(has: readonly Qualifier[], asked: readonly Qualifier[]): boolean {
  if (has.length <= asked.length) return false
  const values = new Map(has.map(({ name, value }) => [name, value]))
  return asked.every(({ name, value }) => values.get(name) === value)
}
