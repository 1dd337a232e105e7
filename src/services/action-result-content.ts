import { Reader } from 'protobufjs/minimal.js'
import type { Digest, DigestFunction } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import { build } from '../gen/reapi.js'
import { digestFromProto } from '../wire/digests.ts'

const { ActionResult } = build.bazel.remote.execution.v2

export type ActionResultMessage = build.bazel.remote.execution.v2.ActionResult.$Properties
type DigestMessage = build.bazel.remote.execution.v2.Digest.$Properties

/** All content that an ActionResult names. */
export interface ActionResultContent {
  /** Output files, stdout and stderr. */
  readonly blobs: readonly Digest[]
  /** Tree messages; the files in them belong to the result too. */
  readonly trees: readonly Digest[]
  /** Directories that are the root of a whole tree in the CAS. */
  readonly rootDirectories: readonly Digest[]
}

/** A stored result; fields that this version does not know are kept. */
export function decodeActionResult(bytes: Uint8Array): ActionResultMessage {
  try {
    const reader = Reader.create(bytes)
    reader.discardUnknown = false
    return ActionResult.decode(reader)
  } catch (cause) {
    throw new AssetError('DATA_LOSS', 'the stored action result cannot be read', { cause })
  }
}

export function encodeActionResult(result: ActionResultMessage): Uint8Array {
  return ActionResult.encode(result).finish()
}

/** @throws AssetError INVALID_ARGUMENT for a digest that cannot be */
export function contentOf(
  result: ActionResultMessage,
  digestFunction: DigestFunction,
): ActionResultContent {
  const parse = (message: DigestMessage | null | undefined, field: string): Digest =>
    digestFromProto(message, digestFunction, `action_result.${field}`)
  const blobs = (result.outputFiles ?? []).map((file, index) =>
    parse(file.digest, `output_files[${index}].digest`),
  )
  if (result.stdoutDigest) blobs.push(parse(result.stdoutDigest, 'stdout_digest'))
  if (result.stderrDigest) blobs.push(parse(result.stderrDigest, 'stderr_digest'))
  const trees: Digest[] = []
  const rootDirectories: Digest[] = []
  for (const [index, directory] of (result.outputDirectories ?? []).entries()) {
    const { treeDigest, rootDirectoryDigest } = directory
    const field = `output_directories[${index}]`
    // One of the two is enough; `tree_digest` is what is missed if there is neither.
    if (treeDigest || !rootDirectoryDigest) trees.push(parse(treeDigest, `${field}.tree_digest`))
    if (rootDirectoryDigest) {
      rootDirectories.push(parse(rootDirectoryDigest, `${field}.root_directory_digest`))
    }
  }
  return { blobs, trees, rootDirectories }
}
