import assert from 'node:assert/strict'
import type { FetchedBody, Fetcher, FetchRequest } from '../../src/fetchers/fetcher.ts'
import { createHttpAgent } from '../../src/fetchers/http-agent.ts'
import { createHttpFetcher } from '../../src/fetchers/http-fetcher.ts'
import { defaultHttpLimits, type HttpLimits } from '../../src/fetchers/http-limits.ts'
import type { CertificateKind } from '../fixtures/certificates.ts'
import { type HttpOrigin, startOrigin } from '../fixtures/http-origin.ts'

export const never = new AbortController().signal

export interface HttpSetup extends AsyncDisposable {
  readonly origin: HttpOrigin
  readonly fetcher: Fetcher
}

export interface HttpSetupOptions {
  readonly limits?: Partial<HttpLimits>
  readonly tls?: CertificateKind
  /** Trusts the origin's authority; true unless told otherwise. */
  readonly isTrusted?: boolean
  readonly clock?: () => number
}

/** An origin and a fetcher for it, both closed together. */
export async function openHttp(options: HttpSetupOptions = {}): Promise<HttpSetup> {
  const { tls, isTrusted = true, clock = Date.now } = options
  const origin = await startOrigin(tls === undefined ? {} : { tls })
  const limits = { ...defaultHttpLimits, ...options.limits }
  const ca = isTrusted ? origin.ca : undefined
  const dispatcher = createHttpAgent(limits, ca === undefined ? {} : { ca })
  const fetcher = createHttpFetcher({ limits, userAgent: 'larder/test', dispatcher, clock })
  return {
    origin,
    fetcher,
    async [Symbol.asyncDispose]() {
      await dispatcher.destroy()
      await origin.stop()
    },
  }
}

export async function fetchBody(fetcher: Fetcher, request: FetchRequest): Promise<FetchedBody> {
  const fetched = await fetcher.fetch(request, never)
  assert.equal(fetched.type, 'body')
  return fetched
}

export async function readBody(fetched: FetchedBody): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of fetched.body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The whole body, as text. */
export async function fetchText(fetcher: Fetcher, request: FetchRequest): Promise<string> {
  await using fetched = await fetchBody(fetcher, request)
  return (await readBody(fetched)).toString()
}
