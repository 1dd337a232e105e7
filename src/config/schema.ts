import { z } from 'zod'
import {
  count,
  duration,
  key,
  listenAddress,
  listenAddressOrNone,
  oneOf,
  optionalKey,
  size,
  text,
  textList,
  timeout,
  truth,
} from './key-types.ts'

const freshnessRule = z
  .strictObject({
    uri: z.string().min(1),
    rule: z.enum(['revalidate', 'ttl', 'immutable', 'refuse']),
    ttl: duration.schema.optional(),
  })
  .refine(({ rule, ttl }) => (rule === 'ttl') === (ttl !== undefined), {
    error: 'a rule has a ttl if, and only if, it is "ttl"',
  })

/**
 * Every key of the configuration, as it is written in the file. `docs/configuration.md`, the JSON
 * Schema and the environment's names are made from this table.
 */
export const configSchema = z.strictObject({
  data: key(text, './larder-data', 'Directory that holds everything that is kept.'),
  grpc: z.strictObject({
    listen: key(listenAddress, '127.0.0.1:8981', 'Where build clients connect.'),
  }),
  http: z.strictObject({
    listen: key(
      listenAddressOrNone,
      '127.0.0.1:9980',
      'Where health, metrics and the status page are served; `none` for nowhere.',
    ),
  }),
  cas: z.strictObject({
    maxSize: key(size, '100GiB', 'Content beyond it is evicted, the longest unused first.'),
    durability: key(
      oneOf('normal', 'strict'),
      'normal',
      'What is acknowledged survives a crash of the server; with `strict` also one of the machine.',
    ),
    maxBlobSize: key(size, '16GiB', 'Largest blob that is accepted.'),
  }),
  instances: optionalKey(
    textList,
    'Instance names that are served; others are refused. Any name is served if left out.',
  ),
  push: z.strictObject({
    requireBlobs: key(
      truth,
      true,
      'Refuse to push an asset whose content is not here; `false` for an index of another CAS.',
    ),
  }),
  fetch: z.strictObject({
    mode: key(
      oneOf('online', 'offline'),
      'online',
      'With `offline` no origin is ever asked: what is not held is NOT_FOUND.',
    ),
    failures: key(
      oneOf('rpc', 'inline'),
      'rpc',
      'Failed fetches are gRPC errors, which all clients understand, or inside a successful answer.',
    ),
    timeout: key(timeout, '10m', 'For a fetch over http, unless the request says otherwise.'),
    gitTimeout: key(timeout, '30m', 'For a fetch by git, unless the request says otherwise.'),
    concurrency: key(count('fetches'), 32, 'Fetches at once, all hosts together.'),
    perHost: key(count('fetches'), 8, 'Fetches at once from one host.'),
    queue: key(count('fetches', 0), 1024, 'Fetches that may wait; more are RESOURCE_EXHAUSTED.'),
    maxSize: key(size, '16GiB', 'Largest file that is fetched.'),
    maxRedirects: key(count('redirects', 0), 10, 'Redirects that one fetch follows.'),
    attempts: key(
      count('rounds'),
      3,
      'Rounds over the URIs of a request, if all failures may be transient.',
    ),
    failureTtl: key(
      duration,
      '5s',
      'How long a failed fetch is remembered, so that retries of a client do not ask again.',
    ),
    freshness: key(
      { schema: z.array(freshnessRule), unit: 'list of {uri, rule, ttl}', textForm: 'list' },
      [],
      'For content without a checksum: the first rule whose `uri` glob matches decides between ' +
        '`revalidate` (ask the origin whether it changed), `ttl`, `immutable` and `refuse`. ' +
        'Without a match it is `revalidate`.',
    ),
  }),
  git: z.strictObject({
    protocols: key(
      {
        schema: z.array(z.enum(['https', 'http', 'ssh', 'git', 'file'])),
        unit: 'list of https, http, ssh, git, file',
        textForm: 'list',
      },
      ['https', 'http', 'ssh', 'git'],
      'Protocols that git may use.',
    ),
  }),
  archive: z.strictObject({
    maxEntries: key(count('entries'), 2_000_000, 'Entries of an archive or repository.'),
    maxUnpackedSize: key(size, '64GiB', 'All files of an archive or repository together.'),
    maxRatio: key(count('bytes for each packed one'), 1000, 'Unpacked size over packed size.'),
    maxDepth: key(count('directories'), 128, 'How deep directories may be nested.'),
    maxNameBytes: key(count('bytes'), 255, 'Length of one name.'),
    maxPathBytes: key(count('bytes'), 4096, 'Length of a path.'),
  }),
  log: z.strictObject({
    level: key(oneOf('debug', 'info', 'warn', 'error'), 'info', 'What is logged at least.'),
    format: key(
      oneOf('auto', 'json', 'pretty'),
      'auto',
      'JSON lines, or lines for people; `auto` is pretty on a terminal.',
    ),
  }),
})

/** All keys parsed, named as in the file. */
export type ConfigValues = z.output<typeof configSchema>
