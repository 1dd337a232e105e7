import { Reader } from 'protobufjs/minimal.js'
import { type Digest, type DigestFunction, digestText, parseDigest } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import { build } from '../gen/reapi.js'

const { Directory } = build.bazel.remote.execution.v2

export type DirectoryMessage = build.bazel.remote.execution.v2.Directory.$Properties
type DigestMessage = build.bazel.remote.execution.v2.Digest.$Properties

// Fields 1 `root` and 2 `children` of Tree, both length-delimited.
const rootTag = (1 << 3) | 2
const childTag = (2 << 3) | 2

/** What a Directory names, as digests under the function of the Directory itself. */
export interface DirectoryLinks {
  readonly files: readonly Digest[]
  readonly directories: readonly Digest[]
}

/**
 * A Directory from bytes that a client uploaded: anything may be in them. Unknown fields are kept,
 * so that encoding it again gives the same digest.
 * @throws AssetError INVALID_ARGUMENT, naming the blob
 */
export function decodeDirectory(digest: Digest, bytes: Uint8Array): DirectoryMessage {
  try {
    return Directory.decode(keepingUnknown(bytes))
  } catch (error) {
    throw notA('Directory', digest, error)
  }
}

/**
 * The Directories in a Tree message, one after another: a Tree of a large output is not decoded at
 * once. @throws AssetError INVALID_ARGUMENT, naming the blob
 */
export function* decodeTreeDirectories(
  digest: Digest,
  bytes: Uint8Array,
): Generator<DirectoryMessage> {
  const reader = Reader.create(bytes)
  while (reader.pos < reader.len) {
    let directory: Uint8Array | undefined
    try {
      const tag = reader.tag()
      const isDirectory = tag === rootTag || tag === childTag
      if (isDirectory) directory = reader.bytes()
      else reader.skipType(tag & 7, 0, tag >>> 3)
    } catch (error) {
      throw notA('Tree', digest, error)
    }
    if (directory) yield decodeDirectory(digest, directory)
  }
}

/**
 * What a Directory of the blob `owner` names.
 * @throws AssetError INVALID_ARGUMENT if a node has no digest, or one that cannot be
 */
export function directoryLinks(owner: Digest, directory: DirectoryMessage): DirectoryLinks {
  const parse = (node: NodeMessage): Digest => nodeDigest(owner, node)
  return {
    files: (directory.files ?? []).map(parse),
    directories: (directory.directories ?? []).map(parse),
  }
}

interface NodeMessage {
  readonly name?: string | null
  readonly digest?: DigestMessage | null
}

function nodeDigest(owner: Digest, node: NodeMessage): Digest {
  try {
    return messageDigest(owner.function, node.digest)
  } catch (error) {
    throw notA('Directory', owner, error)
  }
}

function messageDigest(digestFunction: DigestFunction, digest?: DigestMessage | null): Digest {
  return parseDigest(digestFunction, digest?.hash ?? '', digest?.sizeBytes ?? 0, 'digest')
}

function keepingUnknown(bytes: Uint8Array): Reader {
  const reader = Reader.create(bytes)
  reader.discardUnknown = false
  return reader
}

function notA(type: string, digest: Digest, cause: unknown): AssetError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new AssetError(
    'INVALID_ARGUMENT',
    `blob ${digestText(digest)} is not a ${type}: ${reason}`,
    { cause },
  )
}
