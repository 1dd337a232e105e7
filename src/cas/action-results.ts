import type { Digest } from '../asset/digest.ts'

/**
 * Serialized ActionResults by instance name and action digest. Completeness of what a result names
 * is the service's business, not the store's.
 */
export interface ActionResults {
  /** Undefined on a miss. Extends the entry's life. */
  get(instance: string, action: Digest): Promise<Uint8Array | undefined>
  /** Replaces an earlier result; safe when the promise resolves. */
  put(instance: string, action: Digest, result: Uint8Array): Promise<void>
}
