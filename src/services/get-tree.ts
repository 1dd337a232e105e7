import { type Digest, digestText, sameDigest } from '../asset/digest.ts'
import { AssetError, invalidField } from '../asset/errors.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import type { DirectoryMessage } from '../cas/directory-codec.ts'
import { type DirectoryWalkLimits, walkDirectories } from '../cas/directory-walk.ts'
import type { build } from '../gen/reapi.js'
import { digestFromProto } from '../wire/digests.ts'
import { responseBytesMax } from './batch-limits.ts'
import { functionOfRequest } from './request-digests.ts'

type v2 = typeof build.bazel.remote.execution.v2
type GetTreeRequest = ReturnType<v2['GetTreeRequest']['decode']>
type GetTreeResponse = build.bazel.remote.execution.v2.GetTreeResponse.$Properties

/** Half of what clients take: a page is filled before the size of the next Directory is known. */
const pageBytesMax = 2 * 1024 ** 2

// Tag and length of a Directory in a page.
const directoryOverheadBytes = 8

/**
 * All Directories of a tree, breadth first, each once, in pages of one stream: buildbox-casd does
 * not ask for further ones. Those that are not held are left out, with what is below them.
 *
 * A page token names the tree and the last Directory that was sent, so that it needs no state here
 * and works on any replica; the walk to there is repeated.
 * @throws AssetError NOT_FOUND if the root is not held; INVALID_ARGUMENT if a blob is not a
 * Directory or the token is not of this tree; RESOURCE_EXHAUSTED beyond a limit
 */
export async function* getTree(
  store: BlobStore,
  request: GetTreeRequest,
  limits?: DirectoryWalkLimits,
): AsyncGenerator<GetTreeResponse> {
  const digestFunction = functionOfRequest(request.digestFunction, request.rootDigest)
  const root = digestFromProto(request.rootDigest, digestFunction, 'root_digest')
  const { pageSize } = request
  if (pageSize < 0) throw invalidField('page_size', `must not be negative, got ${pageSize}`)
  const itemsMax = pageSize === 0 ? Number.POSITIVE_INFINITY : pageSize
  let resumeAfter = parsePageToken(request.pageToken, root)
  let directories: DirectoryMessage[] = []
  let sizeBytes = 0
  let last = root
  for await (const batch of walkDirectories(store, root, limits)) {
    for (const { digest, directory } of batch) {
      if (directory === undefined) {
        if (sameDigest(digest, root)) throw notHeld(root)
        continue
      }
      if (resumeAfter !== undefined) {
        if (digestText(digest) === resumeAfter) resumeAfter = undefined
        continue
      }
      const nextBytes = digest.sizeBytes + directoryOverheadBytes
      if (nextBytes > responseBytesMax) throw tooLarge(digest)
      const isFull = directories.length >= itemsMax || sizeBytes + nextBytes > pageBytesMax
      if (isFull && directories.length > 0) {
        yield { directories, nextPageToken: pageToken(root, last) }
        directories = []
        sizeBytes = 0
      }
      directories.push(directory)
      sizeBytes += nextBytes
      last = digest
    }
  }
  if (resumeAfter !== undefined) throw unknownToken()
  yield { directories }
}

function pageToken(root: Digest, last: Digest): string {
  return Buffer.from(`1 ${digestText(root)} ${digestText(last)}`).toString('base64url')
}

/** The text of the digest after which to go on; undefined without a token. */
function parsePageToken(token: string, root: Digest): string | undefined {
  if (token === '') return undefined
  const [version, rootText, lastText] = Buffer.from(token, 'base64url').toString().split(' ')
  if (version !== '1' || rootText !== digestText(root) || !lastText) throw unknownToken()
  return lastText
}

function unknownToken(): AssetError {
  return invalidField('page_token', 'was not given out for this tree')
}

function notHeld(root: Digest): AssetError {
  return new AssetError('NOT_FOUND', `the root Directory ${digestText(root)} is not held`)
}

function tooLarge(digest: Digest): AssetError {
  return new AssetError(
    'RESOURCE_EXHAUSTED',
    `Directory ${digestText(digest)} does not fit into a message of ${responseBytesMax} bytes; read it by ByteStream`,
  )
}
