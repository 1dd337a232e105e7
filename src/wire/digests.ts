import {
  clientDigestFunctions,
  type Digest,
  type DigestFunction,
  inferDigestFunction,
  parseDigest,
} from '../asset/digest.ts'
import { invalidField } from '../asset/errors.ts'
import { build } from '../gen/reapi.js'

const { Value } = build.bazel.remote.execution.v2.DigestFunction

type ProtoFunction = build.bazel.remote.execution.v2.DigestFunction.Value
type ProtoDigest = build.bazel.remote.execution.v2.Digest.$Properties

const functions = new Map<number, DigestFunction>(
  clientDigestFunctions.map((name) => [Value[name], name]),
)

/**
 * The function that a request names, or undefined if it names none: then each digest's own length
 * decides (`digestFromProto`), except in Fetch, where unset means SHA256.
 * @throws AssetError INVALID_ARGUMENT for a function that this server does not speak
 */
export function digestFunctionFromProto(
  value: ProtoFunction | null | undefined,
  field = 'digest_function',
): DigestFunction | undefined {
  if (value === undefined || value === null || value === Value.UNKNOWN) return undefined
  const found = functions.get(value)
  if (found !== undefined) return found
  const name = Object.entries(Value).find(([, number]) => number === value)?.[0] ?? value
  throw invalidField(
    field,
    `${name} is not supported; supported are ${clientDigestFunctions.join(', ')}`,
  )
}

export function digestFunctionToProto(digestFunction: DigestFunction): ProtoFunction {
  return Value[digestFunction]
}

/**
 * A digest of a request, proven to be well-formed. `digestFunction` is the request's, undefined to
 * take it from the length of the hash.
 * @throws AssetError INVALID_ARGUMENT, naming `field`; also if the digest is absent
 */
export function digestFromProto(
  message: ProtoDigest | null | undefined,
  digestFunction: DigestFunction | undefined,
  field = 'digest',
): Digest {
  if (message === undefined || message === null) throw invalidField(field, 'is required')
  const hash = message.hash ?? ''
  return parseDigest(
    digestFunction ?? inferDigestFunction(hash),
    hash,
    message.sizeBytes ?? 0,
    field,
  )
}

export function digestToProto(digest: Digest): { hash: string; sizeBytes: number } {
  return { hash: digest.hash, sizeBytes: digest.sizeBytes }
}
