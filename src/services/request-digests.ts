import { type DigestFunction, inferDigestFunction } from '../asset/digest.ts'
import type { build } from '../gen/reapi.js'
import { digestFunctionFromProto } from '../wire/digests.ts'

type DigestMessage = build.bazel.remote.execution.v2.Digest.$Properties
type FunctionValue = build.bazel.remote.execution.v2.DigestFunction.Value

/**
 * The one function under which all digests of a request stand: the one it names, else the one that
 * the length of its first hash says. Digests of another length then do not parse.
 * @throws AssetError INVALID_ARGUMENT for a function that is not supported
 */
export function functionOfRequest(
  value: FunctionValue | null | undefined,
  first: DigestMessage | null | undefined,
): DigestFunction {
  return digestFunctionFromProto(value) ?? inferDigestFunction(first?.hash ?? '')
}
