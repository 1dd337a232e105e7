import { LRUCache } from 'lru-cache'
import type { AssetIndex, AssetKey, AssetRow } from './asset-index.ts'

/** Characters of keys and rows together; about as many bytes. */
const cachedCharsMax = 32 * 1024 * 1024

/** What an entry takes beside its text. */
const entryCharsMin = 512

/**
 * Adds to an index a memory of what its keys were last found to be, the absence of rows included.
 * Builds ask for the same assets again and again, and a look-up in the index is the dearest part of
 * a hit. Only for an index that nobody else writes to: a put through here forgets the keys that it
 * changes, before it is sent and again when it is done.
 */
export function cachingAssetIndex(inner: AssetIndex): AssetIndex {
  const found = new LRUCache<string, Promise<readonly AssetRow[]>>({
    maxSize: cachedCharsMax,
    maxEntrySize: cachedCharsMax / 64,
    sizeCalculation: (_rows, key) => key.length * 3 + entryCharsMin,
  })
  return {
    scopeKey: inner.scopeKey,
    find(key) {
      const text = keyText(key)
      const known = found.get(text)
      if (known) return known
      const rows = inner.find(key)
      found.set(text, rows)
      rows.catch(() => found.delete(text))
      return rows
    },
    // Which keys a pushed row answers cannot be told from the row, so these are not remembered.
    findPushedSupersets: (key) => inner.findPushedSupersets(key),
    async put(rows) {
      const keys = rows.map((row) => keyText(row))
      for (const key of keys) found.delete(key)
      try {
        await inner.put(rows)
      } finally {
        // What was read meanwhile may be from before the put.
        for (const key of keys) found.delete(key)
      }
    },
    stats: () => inner.stats(),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  }
}

function keyText(key: AssetKey): string {
  const { kind, instance, digestFunction, uri, qualifiers } = key
  const pairs = qualifiers.map(({ name, value }) => [name, value])
  return JSON.stringify([kind, instance, digestFunction, uri, pairs])
}
