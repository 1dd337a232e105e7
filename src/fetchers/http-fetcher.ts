import type { Dispatcher } from 'undici'
import { displayUri } from '../asset/asset-uri.ts'
import type { Fetched, Fetcher, FetchRequest, Validators } from './fetcher.ts'
import { createHttpAgent } from './http-agent.ts'
import { httpBody } from './http-body.ts'
import { exchange, type HttpAnswer } from './http-exchange.ts'
import { connectionError, httpError, stoppedError } from './http-failure.ts'
import { defaultHttpLimits, type HttpLimits } from './http-limits.ts'
import { isUnwantedPage } from './http-login-page.ts'
import { plainUrl, redirectTarget } from './http-redirect.ts'
import { headerValue, statusFailure } from './http-status.ts'

export interface HttpFetcherOptions {
  /** What is not given is as in `defaultHttpLimits`. */
  readonly limits?: Partial<HttpLimits>
  /** E.g. `larder/0.1.0`; a request's own header wins. */
  readonly userAgent: string
  /**
   * Where requests go through, e.g. an agent from `createHttpAgent` with a private authority, or a
   * proxy. Stays the caller's to close. Without it the fetcher makes an agent of its own.
   */
  readonly dispatcher?: Dispatcher
  /** Milliseconds since 1970, for a `Retry-After` that names a date. */
  readonly clock?: () => number
}

/** Fetches files over http and https. Never retries, verifies or stores: the resolver does. */
export function createHttpFetcher(options: HttpFetcherOptions): Fetcher & AsyncDisposable {
  return new HttpFetcher(options)
}

class HttpFetcher implements Fetcher, AsyncDisposable {
  readonly name = 'http'
  readonly yields = 'body'
  readonly #limits: HttpLimits
  readonly #userAgent: string
  readonly #dispatcher: Dispatcher
  readonly #ownsDispatcher: boolean
  readonly #clock: () => number

  constructor({ limits, userAgent, dispatcher, clock = Date.now }: HttpFetcherOptions) {
    this.#limits = Object.freeze({ ...defaultHttpLimits, ...limits })
    this.#userAgent = userAgent
    this.#dispatcher = dispatcher ?? createHttpAgent(this.#limits)
    this.#ownsDispatcher = dispatcher === undefined
    this.#clock = clock
  }

  accepts({ url, qualifiers }: FetchRequest): boolean {
    if (url.protocol !== 'http:' && url.protocol !== 'https:') return false
    // A repository's web page must never pass for the repository, should git be switched off.
    return (
      qualifiers.value('resource_type') !== 'application/x-git' &&
      qualifiers.value('vcs.commit') === undefined &&
      qualifiers.value('vcs.branch') === undefined &&
      qualifiers.value('vcs.tag') === undefined
    )
  }

  async fetch(request: FetchRequest, signal: AbortSignal): Promise<Fetched> {
    const asked = plainUrl(request.url)
    const hops = [asked]
    let isFirstOrigin = true
    for (let url = asked; ; ) {
      const headers = this.#headers(request, isFirstOrigin)
      const answer = await this.#get(url, headers, hops, signal)
      try {
        const target = redirectTarget(answer, hops, this.#limits)
        if (!target) return this.#fetched(request, answer, hops, signal)
        answer.close()
        hops.push(target)
        // Once left, the first origin gets no secrets either: the way back was another's choice.
        isFirstOrigin &&= target.origin === asked.origin
        url = target
      } catch (error) {
        answer.close()
        throw error
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ownsDispatcher) await this.#dispatcher.destroy()
  }

  async #get(
    url: URL,
    headers: Record<string, string | string[]>,
    hops: readonly URL[],
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    try {
      return await exchange({
        dispatcher: this.#dispatcher,
        url,
        headers,
        limits: this.#limits,
        signal,
      })
    } catch (cause) {
      if (signal.aborted) throw stoppedError(hops, signal)
      throw connectionError(hops, cause, this.#limits)
    }
  }

  #headers(request: FetchRequest, isFirstOrigin: boolean): Record<string, string | string[]> {
    const headers: Record<string, string | string[]> = {
      accept: '*/*',
      'user-agent': this.#userAgent,
    }
    if (isFirstOrigin) {
      for (const [name, values] of request.headers) {
        const revealed = values.map((value) => value.reveal())
        headers[name.toLowerCase()] = revealed.length === 1 ? (revealed[0] ?? '') : revealed
      }
    }
    if (request.held?.etag !== undefined) headers['if-none-match'] = request.held.etag
    if (request.held?.lastModified !== undefined) {
      headers['if-modified-since'] = request.held.lastModified
    }
    headers['accept-encoding'] = 'identity'
    return headers
  }

  #fetched(
    request: FetchRequest,
    answer: HttpAnswer,
    hops: readonly URL[],
    signal: AbortSignal,
  ): Fetched {
    const finalUri = displayUri(hops.at(-1) ?? request.url)
    const dispose = async () => answer.close()
    const { held } = request
    if (answer.status === 304 && held && (held.etag ?? held.lastModified) !== undefined) {
      answer.close()
      const validators = responseValidators(answer, held)
      return { type: 'not-modified', finalUri, validators, [Symbol.asyncDispose]: dispose }
    }
    const failure = statusFailure(answer.status, answer.headers, this.#limits, this.#clock())
    if (failure) {
      const { code, reason, retryAfterMs } = failure
      throw httpError(hops, code, reason, retryAfterMs === undefined ? {} : { retryAfterMs })
    }
    if (isUnwantedPage(answer.headers, hops)) {
      const reason = 'answered with an HTML page, probably a login page'
      throw httpError(hops, 'PERMISSION_DENIED', reason)
    }
    const { bytes, sizeBytes } = httpBody({ answer, hops, limits: this.#limits, signal })
    return {
      type: 'body',
      body: bytes,
      sizeBytes,
      finalUri,
      validators: responseValidators(answer, undefined),
      [Symbol.asyncDispose]: dispose,
    }
  }
}

/** Validators of the answer; a 304 may leave out those that have not changed. */
function responseValidators({ headers }: HttpAnswer, held: Validators | undefined): Validators {
  return {
    etag: headerValue(headers, 'etag') ?? held?.etag,
    lastModified: headerValue(headers, 'last-modified') ?? held?.lastModified,
  }
}
