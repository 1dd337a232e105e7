import {
  clientDigestFunctions,
  type Digest,
  type DigestFunction,
  inferDigestFunction,
  parseDigest,
  quoteShort,
} from '../asset/digest.ts'
import { type AssetError, invalidField } from '../asset/errors.ts'

/** How the bytes of a ByteStream are packed: as they are, or as zstd frames. */
export type BlobCompressor = 'IDENTITY' | 'ZSTD'

/** What a ByteStream resource name of REAPI says. */
export interface BlobResource {
  /** Any text, the empty one and several segments too. */
  readonly instance: string
  readonly compressor: BlobCompressor
  readonly digest: Digest
}

/** The instance, an upload id (clients reuse one for many blobs), the blob. Metadata is dropped. */
export interface UploadResource extends BlobResource {
  readonly uploadId: string
}

/** Splitting a message full of slashes must stay cheap; real names are under 300 characters. */
const resourceNameCharsMax = 16 * 1024

/** REAPI: no segment of an instance name may be one of these, so the first of them ends it. */
const keywords: ReadonlySet<string> = new Set([
  'blobs',
  'uploads',
  'actions',
  'actionResults',
  'operations',
  'capabilities',
  'compressed-blobs',
])

/** Lower-case enum names as they stand in names. Only some need one; all that we know may. */
const functionsBySegment: ReadonlyMap<string, DigestFunction> = new Map(
  clientDigestFunctions.map((name) => [name.toLowerCase(), name]),
)

/** Functions of REAPI that may stand in a name but that this server does not compute. */
const foreignFunctions: ReadonlySet<string> = new Set(['sha256tree', 'gitsha1', 'vso', 'murmur3'])

/** Functions that a name must spell out, because the length of the hash says another one. */
const spelledFunctions: ReadonlySet<DigestFunction> = new Set(['BLAKE3', 'GITSHA1'])

/**
 * `[instance/]blobs/[function/]hash/size` or `[instance/]compressed-blobs/zstd/[function/]hash/size`.
 * @throws AssetError INVALID_ARGUMENT
 */
export function parseReadName(name: string): BlobResource {
  const { instance, segments } = splitAtKeyword(name)
  const { resource, rest } = parseBlobSegments(name, instance, segments)
  if (rest.length > 0) throw malformed(name, 'nothing may follow the size')
  return resource
}

/**
 * `[instance/]uploads/id/` and then as a read name, with any metadata after the size.
 * @throws AssetError INVALID_ARGUMENT
 */
export function parseWriteName(name: string): UploadResource {
  const { instance, segments } = splitAtKeyword(name)
  const [keyword, uploadId, ...blob] = segments
  if (keyword !== 'uploads') throw malformed(name, 'expected uploads/{uuid}/blobs/{hash}/{size}')
  if (!uploadId) throw malformed(name, 'the id after uploads/ is empty')
  const { resource } = parseBlobSegments(name, instance, blob)
  return { ...resource, uploadId }
}

/** The canonical read name of a blob. */
export function formatReadName(resource: BlobResource): string {
  const { instance, compressor, digest } = resource
  return [
    ...(instance === '' ? [] : [instance]),
    ...(compressor === 'IDENTITY' ? ['blobs'] : ['compressed-blobs', compressor.toLowerCase()]),
    ...(spelledFunctions.has(digest.function) ? [digest.function.toLowerCase()] : []),
    digest.hash,
    digest.sizeBytes,
  ].join('/')
}

/** The canonical write name of a blob. */
export function formatWriteName(resource: UploadResource): string {
  const prefix = resource.instance === '' ? '' : `${resource.instance}/`
  return `${prefix}uploads/${resource.uploadId}/${formatReadName({ ...resource, instance: '' })}`
}

function splitAtKeyword(name: string): { instance: string; segments: readonly string[] } {
  if (name === '') throw invalidField('resource_name', 'is empty')
  if (name.length > resourceNameCharsMax) {
    throw malformed(name, `is longer than ${resourceNameCharsMax} characters`)
  }
  const segments = name.split('/')
  const start = segments.findIndex((segment) => keywords.has(segment))
  if (start < 0) throw malformed(name, 'expected {instance}/blobs/{hash}/{size}')
  return { instance: segments.slice(0, start).join('/'), segments: segments.slice(start) }
}

function parseBlobSegments(
  name: string,
  instance: string,
  segments: readonly string[],
): { resource: BlobResource; rest: readonly string[] } {
  const [keyword, ...afterKeyword] = segments
  let compressor: BlobCompressor = 'IDENTITY'
  let rest = afterKeyword
  if (keyword === 'compressed-blobs') {
    const [packing, ...afterPacking] = afterKeyword
    if (packing !== 'zstd') {
      throw malformed(name, `compressor ${quoteShort(packing ?? '')} is not supported, zstd is`)
    }
    compressor = 'ZSTD'
    rest = afterPacking
  } else if (keyword !== 'blobs') {
    throw malformed(name, 'expected blobs/{hash}/{size}')
  }
  const { digest, rest: metadata } = parseDigestSegments(name, rest)
  return { resource: { instance, compressor, digest }, rest: metadata }
}

function parseDigestSegments(
  name: string,
  segments: readonly string[],
): { digest: Digest; rest: readonly string[] } {
  const [first = ''] = segments
  if (foreignFunctions.has(first)) {
    throw malformed(name, `digest function ${first} is not supported`)
  }
  const spelled = functionsBySegment.get(first)
  const [hash, size, ...rest] = spelled === undefined ? segments : segments.slice(1)
  if (hash === undefined || size === undefined) {
    throw malformed(name, 'expected {hash}/{size} at its end')
  }
  // No sign, no fraction, no leading zero: one blob has one name.
  if (!/^(?:0|[1-9][0-9]*)$/.test(size)) {
    throw malformed(name, `the size ${quoteShort(size)} is not a decimal number`)
  }
  const digestFunction = spelled ?? inferDigestFunction(hash)
  return { digest: parseDigest(digestFunction, hash, Number(size), 'resource_name'), rest }
}

function malformed(name: string, description: string): AssetError {
  return invalidField('resource_name', `${quoteShort(name)}: ${description}`)
}
