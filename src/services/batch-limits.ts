/**
 * Blob bytes in one BatchUpdateBlobs or BatchReadBlobs, advertised as `max_batch_total_size_bytes`:
 * 4 MiB, the message limit of most clients, less 194,304 bytes for digests and framing.
 */
export const batchBytesMax = 4_000_000

/** An answer larger than this would be refused by clients with gRPC's default limit of 4 MiB. */
export const responseBytesMax = 4 * 1024 ** 2 - 4096
