/** What one fetch over http may cost. Every limit can be made smaller or larger by configuration. */
export interface HttpLimits {
  /** Hops of one fetch; browsers and curl stop at 20 to 50, no package host needs more than 4. */
  readonly redirectsMax: number
  /** Bytes of a body, counted after decoding. */
  readonly sizeBytesMax: number
  /** Until a connection stands, TLS included. */
  readonly connectTimeoutMs: number
  /** From the request being sent until the last of its response headers. */
  readonly headersTimeoutMs: number
  /** The longest silence within a body; time in which we do not read is not counted. */
  readonly idleTimeoutMs: number
  /** Response headers of one answer; some hosts send 8 KiB of policies alone. */
  readonly headerBytesMax: number
  /** No `Retry-After` makes us wait longer than this. */
  readonly retryAfterMsMax: number
  /**
   * Decoded bytes for each byte that came, beyond `gunzipFreeBytes`. Text reaches 20 to 50; a bomb
   * reaches 1032, the most that gzip can do.
   */
  readonly gunzipRatioMax: number
  readonly gunzipFreeBytes: number
}

export const defaultHttpLimits: HttpLimits = Object.freeze({
  redirectsMax: 10,
  sizeBytesMax: 16 * 1024 ** 3,
  connectTimeoutMs: 10_000,
  headersTimeoutMs: 60_000,
  idleTimeoutMs: 30_000,
  headerBytesMax: 64 * 1024,
  retryAfterMsMax: 10 * 60_000,
  gunzipRatioMax: 200,
  gunzipFreeBytes: 16 * 1024 ** 2,
})
