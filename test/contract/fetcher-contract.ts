import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AssetError, type AssetErrorCode } from '../../src/asset/errors.ts'
import type { Fetched, Fetcher, FetchRequest } from '../../src/fetchers/fetcher.ts'

/** A fetcher with an origin of its own. Disposal closes both. */
export interface FetcherFixture extends AsyncDisposable {
  readonly fetcher: Fetcher
  /** Something that is at the origin; a body should be larger than what buffers on the way hold. */
  readonly present: FetchRequest
  /** Something that is not there, asked for with secrets in every place that may hold one. */
  readonly missing: FetchRequest
  /** What a message about `missing` must contain: its URI, fit for display. */
  readonly missingShown: string
  /** None of these may be in any text of an error. */
  readonly secrets: readonly string[]
  /** Something whose origin accepts the request and never answers. */
  readonly stalled: FetchRequest
  /** Resolves once the origin has got the request for `stalled`. */
  stalledReached(): Promise<void>
  /** Resolves once nothing of finished fetches is left: connections, processes, directories. */
  idle(): Promise<void>
}

const never = new AbortController().signal

/** The rules that every fetcher keeps. */
export function fetcherContract(name: string, open: () => Promise<FetcherFixture>): void {
  describe(`fetcher contract: ${name}`, () => {
    test('accepts its own requests and leaves other schemes alone', async () => {
      await using fixture = await open()
      const { fetcher, present } = fixture
      assert.equal(fetcher.accepts(present), true)
      for (const uri of ['file:///etc/passwd', 'ftp://host/file', 'urn:uuid:1', 'data:,x']) {
        const url = new URL(uri)
        // A fetcher may be the one for a scheme of this list.
        if (url.protocol === present.url.protocol) continue
        assert.equal(fetcher.accepts({ ...present, url }), false, uri)
      }
    })

    test('what is present is fetched, and is of the kind it says', async () => {
      await using fixture = await open()
      const { fetcher, present } = fixture
      await using fetched = await fetcher.fetch(present, never)
      assert.equal(fetched.type, fetcher.yields)
      assert.notEqual(fetched.finalUri, '')
      if (fetched.type === 'body') assert.ok((await countBytes(fetched)) > 0)
      if (fetched.type === 'commit') assert.match(fetched.commit, /^[0-9a-f]{40,64}$/)
    })

    test('what is missing is NOT_FOUND, told with its URI and without a secret', async () => {
      await using fixture = await open()
      const { fetcher, missing, missingShown, secrets } = fixture
      const error = await failure(fetcher.fetch(missing, never), 'NOT_FOUND')
      assert.ok(error.message.includes(missingShown), error.message)
      assertWithout(error, secrets)
      await fixture.idle()
    })

    test('disposal of what was not read leaves nothing open', async () => {
      await using fixture = await open()
      const { fetcher, present } = fixture
      const fetched = await fetcher.fetch(present, never)
      await fetched[Symbol.asyncDispose]()
      await fetched[Symbol.asyncDispose]()
      await fixture.idle()
    })

    test('disposal half-way through a body leaves nothing open and ends no body early', async () => {
      await using fixture = await open()
      const { fetcher, present } = fixture
      const fetched = await fetcher.fetch(present, never)
      if (fetched.type === 'body') {
        const reader = fetched.body[Symbol.asyncIterator]()
        assert.equal((await reader.next()).done, false)
        await fetched[Symbol.asyncDispose]()
        await failure(drain(reader), 'CANCELLED')
      }
      await fetched[Symbol.asyncDispose]()
      await fixture.idle()
    })

    test('a signal that has fired already stops a fetch before it starts', async () => {
      await using fixture = await open()
      await failure(fixture.fetcher.fetch(fixture.present, AbortSignal.abort()), 'CANCELLED')
      await fixture.idle()
    })

    const reasons: readonly (readonly [string, unknown, AssetErrorCode])[] = [
      ['no reason', undefined, 'CANCELLED'],
      ['an error of another kind', new Error('gone'), 'CANCELLED'],
      ['a deadline', new AssetError('DEADLINE_EXCEEDED', 'out of time'), 'DEADLINE_EXCEEDED'],
      ['a time-out', new DOMException('timed out', 'TimeoutError'), 'DEADLINE_EXCEEDED'],
    ]
    for (const [what, reason, code] of reasons) {
      test(`a signal that fires with ${what} is ${code} and leaves nothing open`, async () => {
        await using fixture = await open()
        const abort = new AbortController()
        const fetching = fixture.fetcher.fetch(fixture.stalled, abort.signal)
        const failing = failure(fetching, code)
        await fixture.stalledReached()
        abort.abort(reason)
        assertWithout(await failing, fixture.secrets)
        await fixture.idle()
      })
    }
  })
}

/** The AssetError that a promise rejects with, which must have that code. */
export async function failure(promise: Promise<unknown>, code: AssetErrorCode) {
  const error: unknown = await promise.then(
    () => assert.fail(`expected ${code}, and it went well`),
    (thrown) => thrown,
  )
  assert.ok(error instanceof AssetError, `expected ${code}, got ${String(error)}`)
  assert.equal(error.code, code, error.message)
  return error
}

/** No text of the error, its causes included, holds any of the secrets. */
export function assertWithout(error: Error, secrets: readonly string[]): void {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const text = `${at.message}\n${JSON.stringify(at)}\n${at.stack}`
    for (const secret of secrets) assert.ok(!text.includes(secret), `${secret} is in: ${text}`)
  }
}

async function countBytes(fetched: Fetched & { type: 'body' }): Promise<number> {
  let bytes = 0
  for await (const chunk of fetched.body) bytes += chunk.byteLength
  return bytes
}

async function drain(reader: AsyncIterator<Uint8Array>): Promise<void> {
  while (!(await reader.next()).done);
}
