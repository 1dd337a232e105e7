import { invalidField } from '../asset/errors.ts'
import type { google } from '../gen/reapi.js'

type Timestamp = google.protobuf.Timestamp.$Properties
type Duration = google.protobuf.Duration.$Properties

// Ranges of google.protobuf.Timestamp (years 1 to 9999) and Duration (10,000 years).
const timestampSecondsMin = -62_135_596_800
const timestampSecondsMax = 253_402_300_799
const durationSecondsMax = 315_576_000_000
const nanosMax = 999_999_999

/**
 * Milliseconds since 1970, rounded down; undefined if the message is absent.
 * @throws AssetError INVALID_ARGUMENT if it is outside the years 1 to 9999
 */
export function timestampFromProto(
  message: Timestamp | null | undefined,
  field: string,
): number | undefined {
  if (message === undefined || message === null) return undefined
  const seconds = message.seconds ?? 0
  const nanos = message.nanos ?? 0
  if (seconds < timestampSecondsMin || seconds > timestampSecondsMax) {
    throw invalidField(field, 'is outside the years 1 to 9999')
  }
  if (nanos < 0 || nanos > nanosMax) {
    throw invalidField(field, `nanos must be between 0 and ${nanosMax}, got ${nanos}`)
  }
  return seconds * 1000 + Math.floor(nanos / 1_000_000)
}

/**
 * Milliseconds, rounded up so that a short duration does not become none; undefined if absent.
 * @throws AssetError INVALID_ARGUMENT if it is negative or outside the range of Duration
 */
export function durationFromProto(
  message: Duration | null | undefined,
  field: string,
): number | undefined {
  if (message === undefined || message === null) return undefined
  const seconds = message.seconds ?? 0
  const nanos = message.nanos ?? 0
  if (seconds < 0 || nanos < 0) throw invalidField(field, 'must not be negative')
  if (seconds > durationSecondsMax || nanos > nanosMax) {
    throw invalidField(field, 'is outside the range of google.protobuf.Duration')
  }
  return seconds * 1000 + Math.ceil(nanos / 1_000_000)
}

/** From milliseconds since 1970; a time outside the years 1 to 9999 becomes the nearest within. */
export function timestampToProto(timeMs: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(timeMs / 1000)
  if (seconds < timestampSecondsMin) return { seconds: timestampSecondsMin, nanos: 0 }
  if (seconds > timestampSecondsMax) return { seconds: timestampSecondsMax, nanos: nanosMax }
  return { seconds, nanos: Math.floor(timeMs - seconds * 1000) * 1_000_000 }
}

export function durationToProto(durationMs: number): { seconds: number; nanos: number } {
  const seconds = Math.min(Math.floor(durationMs / 1000), durationSecondsMax)
  return { seconds, nanos: Math.floor(Math.max(durationMs - seconds * 1000, 0) % 1000) * 1_000_000 }
}
