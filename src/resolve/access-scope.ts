import { createHmac } from 'node:crypto'
import type { HeaderMap } from '../asset/origin-headers.ts'

/**
 * Who may be answered with what these headers brought: a keyed hash of all of them, empty where
 * there are none. All headers count and not only credentials, since an Accept header, for one, can
 * change what an origin answers too.
 */
export function accessScope(scopeKey: Uint8Array, headers: HeaderMap): string {
  if (headers.size === 0) return ''
  const hmac = createHmac('sha256', scopeKey)
  for (const name of [...headers.keys()].sort()) {
    for (const value of headers.get(name) ?? []) {
      const text = value.reveal()
      // Lengths first, so that no two lists of headers read the same.
      hmac.update(`${name.length}:${name}${text.length}:`).update(text)
    }
  }
  return hmac.digest('hex')
}
