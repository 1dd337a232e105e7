import { join } from 'node:path'
import { WriterThread } from '../../util/writer-thread.ts'
import { BlobLookup } from './blob-lookup.ts'
import type { CasTotals, CasWriterThread, CasWrites } from './cas-writes.ts'
import { lockDirectory } from './directory-lock.ts'
import { Evictor } from './evictor.ts'
import { LastUses } from './last-uses.ts'
import { type ResolvedStoreOptions, writerData } from './local-store-options.ts'

/** What the local store is made of. */
export interface LocalStoreParts {
  readonly options: ResolvedStoreOptions
  readonly writer: CasWriterThread
  readonly lookup: BlobLookup
  readonly uses: LastUses
  readonly evictor: Evictor
  readonly totals: () => CasTotals
  /** Closes all of them, in the right order. */
  readonly stack: AsyncDisposableStack
}

/** Locks the directory, starts the writer and opens the reader. */
export async function openStoreParts(options: ResolvedStoreOptions): Promise<LocalStoreParts> {
  await using stack = new AsyncDisposableStack()
  stack.use(lockDirectory(options.directory))
  let totals: CasTotals | undefined
  let evictor: Evictor | undefined
  let view: BlobLookup | undefined
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const writer = stack.use(
    await WriterThread.start<CasWrites, CasTotals>({
      label: 'CAS',
      module: new URL(`./cas-writer-thread.${extension}`, import.meta.url),
      data: writerData(options),
      onNotice: (notice) => {
        totals = notice
        view?.endRead()
        evictor?.evictInBackground()
      },
    }),
  )
  if (!totals) throw new Error('the writer has not sent its totals')
  const opened: CasTotals = totals
  const { touchIntervalMs, clock } = options
  const lookup = stack.use(new BlobLookup(join(options.directory, 'cas.sqlite')))
  view = lookup
  const uses = stack.use(new LastUses({ writer, intervalMs: touchIntervalMs, clock }))
  const parts = { options, writer, lookup, uses, totals: () => totals ?? opened }
  // A value is never seen again after a restart: 2^32 evictions fit between two openings.
  const firstCounter = opened.openings * 2 ** 32
  const heldBytes = () => parts.totals().sizeBytes
  const running = stack.use(
    new Evictor({ ...options, writer, lookup, uses, heldBytes, firstCounter }),
  )
  evictor = running
  running.evictInBackground()
  return { ...parts, evictor: running, stack: stack.move() }
}
