import { z } from 'zod'
import type { KeyMeta } from './key-types.ts'
import { configSchema } from './schema.ts'

/** One key of the configuration, taken from the schema. */
export interface ConfigKey extends KeyMeta {
  /** E.g. `cas.maxSize`. */
  readonly path: string
  /** E.g. `LARDER_CAS_MAX_SIZE`. */
  readonly environmentName: string
  readonly schema: z.ZodType
  /** As one would write it; undefined for keys that have no value unless set. */
  readonly defaultValue: unknown
}

function keysBelow(schema: z.ZodType, path: readonly string[]): ConfigKey[] {
  if (schema instanceof z.ZodObject) {
    return Object.entries(schema.shape).flatMap(([name, inner]) =>
      keysBelow(inner as z.ZodType, [...path, name]),
    )
  }
  const meta = schema.meta() as unknown as KeyMeta
  const { default: defaultValue } = z.toJSONSchema(schema, { io: 'input' })
  return [{ ...meta, path: path.join('.'), environmentName: nameOf(path), schema, defaultValue }]
}

function nameOf(path: readonly string[]): string {
  const words = path.map((name) => name.replace(/[A-Z]/g, (letter) => `_${letter}`))
  return `LARDER_${words.join('_').toUpperCase()}`
}

/** All keys, in the order of the schema. */
export const configKeys: readonly ConfigKey[] = keysBelow(configSchema, [])

/** The known key that a wrong one may have meant. */
export function nearestKey(path: string): string | undefined {
  const last = path.slice(path.lastIndexOf('.') + 1).toLowerCase()
  let best: { path: string; distance: number } | undefined
  for (const { path: known } of configKeys) {
    const lastKnown = known.slice(known.lastIndexOf('.') + 1).toLowerCase()
    const distance = Math.min(
      editDistance(path.toLowerCase(), known.toLowerCase()),
      // A right name in the wrong section is nearly as good as a slip of the finger.
      editDistance(last, lastKnown) + 1,
    )
    if (distance <= Math.max(2, last.length / 3) && distance < (best?.distance ?? Infinity)) {
      best = { path: known, distance }
    }
  }
  return best?.path
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
