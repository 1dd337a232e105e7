import { resolve } from 'node:path'
import type { ListenAddress } from './listen-address.ts'
import type { ConfigValues } from './schema.ts'

export interface FreshnessRule {
  /** Glob over the whole URI. */
  readonly uri: string
  readonly freshness:
    | { readonly rule: 'revalidate' | 'immutable' | 'refuse' }
    | { readonly rule: 'ttl'; readonly ttlMs: number }
}

/** The configuration in force: parsed, frozen, in bytes and milliseconds. */
export interface Config {
  /** Absolute path. */
  readonly dataDirectory: string
  readonly grpc: { readonly listen: ListenAddress }
  /** No listener if undefined. */
  readonly http: { readonly listen: ListenAddress | undefined }
  readonly cas: {
    readonly sizeBytesMax: number
    readonly durability: 'normal' | 'strict'
    readonly blobSizeBytesMax: number
  }
  /** Undefined: any name is served. */
  readonly instances: readonly string[] | undefined
  readonly push: { readonly requireBlobs: boolean }
  readonly fetch: {
    readonly mode: 'online' | 'offline'
    readonly failures: 'rpc' | 'inline'
    readonly timeoutMs: number
    readonly gitTimeoutMs: number
    readonly concurrency: number
    readonly perHost: number
    readonly queueMax: number
    readonly sizeBytesMax: number
    readonly redirectsMax: number
    readonly attempts: number
    readonly failureTtlMs: number
    readonly freshness: readonly FreshnessRule[]
  }
  readonly git: { readonly protocols: readonly string[] }
  /** In the shape of importers/tree-limits.ts. */
  readonly archive: {
    readonly entriesMax: number
    readonly unpackedBytesMax: number
    readonly ratioMax: number
    readonly depthMax: number
    readonly nameBytesMax: number
    readonly pathBytesMax: number
  }
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error'
    readonly format: 'auto' | 'json' | 'pretty'
  }
}

/** From the names of the file to those of the code, which carry their units. */
export function toConfig(values: ConfigValues, workingDirectory: string): Config {
  const { cas, fetch, archive } = values
  return deepFreeze({
    dataDirectory: resolve(workingDirectory, values.data),
    grpc: values.grpc,
    http: { listen: values.http.listen },
    cas: {
      sizeBytesMax: cas.maxSize,
      durability: cas.durability,
      blobSizeBytesMax: cas.maxBlobSize,
    },
    instances: values.instances,
    push: values.push,
    fetch: {
      mode: fetch.mode,
      failures: fetch.failures,
      timeoutMs: fetch.timeout,
      gitTimeoutMs: fetch.gitTimeout,
      concurrency: fetch.concurrency,
      perHost: fetch.perHost,
      queueMax: fetch.queue,
      sizeBytesMax: fetch.maxSize,
      redirectsMax: fetch.maxRedirects,
      attempts: fetch.attempts,
      failureTtlMs: fetch.failureTtl,
      freshness: fetch.freshness.map(({ uri, rule, ttl }) => ({
        uri,
        freshness: rule === 'ttl' ? { rule, ttlMs: ttl ?? 0 } : { rule },
      })),
    },
    git: values.git,
    archive: {
      entriesMax: archive.maxEntries,
      unpackedBytesMax: archive.maxUnpackedSize,
      ratioMax: archive.maxRatio,
      depthMax: archive.maxDepth,
      nameBytesMax: archive.maxNameBytes,
      pathBytesMax: archive.maxPathBytes,
    },
    log: values.log,
  })
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner)
    Object.freeze(value)
  }
  return value
}
