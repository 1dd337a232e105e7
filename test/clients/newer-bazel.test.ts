import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { hashBytes } from '../../src/util/hasher.ts'
import { fetchService } from '../../src/wire/methods.ts'
import { validated } from '../fixtures/http-behaviours.ts'
import { type HttpOrigin, startOrigin } from '../fixtures/http-origin.ts'
import { type LarderServer, startLarder } from '../fixtures/larder-server.ts'
import { RpcClient } from '../fixtures/rpc-client.ts'
import { bazelMetadata, functions, qualifiers, read, sri } from './requests.ts'

const { FetchBlob } = fetchService.methods

/** Requests of the Bazels that are not in Debian, as their sources build them. */
describe('newer Bazels', () => {
  let origin: HttpOrigin
  let larder: LarderServer
  let client: RpcClient

  before(async () => {
    origin = await startOrigin()
    larder = await startLarder()
    client = new RpcClient(larder.grpcUrl)
  })
  after(async () => {
    client?.[Symbol.dispose]()
    await larder?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  /** A new file at the origin, and its URL. */
  function serve(path: string): { content: Buffer; url: string; other: string } {
    const content = Buffer.from(`content of ${path}\n`)
    const url = origin.serve(path, content)
    return { content, url, other: `${origin.otherUrl}${path}` }
  }

  function headersOf(path: string, name: string) {
    return origin.requests.filter((request) => request.path === path).map((r) => r.headers[name])
  }

  test('4.0 to 5.3.1: auth headers of URLs that were not asked for go nowhere', async () => {
    const { content, url } = serve('/v4.bin')
    const auth = {
      'https://elsewhere.example/b.bin': { Authorization: 'Bearer for-elsewhere' },
      [url]: { Authorization: 'Basic Ym9iOmh1bnRlcjI=', 'X-Other': 'one' },
    }
    const response = await client.unary(FetchBlob, {
      uris: [url],
      qualifiers: qualifiers({
        'checksum.sri': sri(content),
        'bazel.canonical_id': 'canon id/1',
        // Gson writes "=" as an escape.
        'bazel.auth_headers': JSON.stringify(auth).replaceAll('=', '\\u003d'),
      }),
    })
    assert.equal(response.blobDigest?.hash, hashBytes('SHA256', content))
    assert.deepEqual(headersOf('/v4.bin', 'authorization'), ['Basic Ym9iOmh1bnRlcjI='])
    assert.deepEqual(headersOf('/v4.bin', 'x-other'), ['one'])
    const names = response.qualifiers.map(({ name }) => name)
    assert.deepEqual(names.sort(), ['bazel.canonical_id', 'checksum.sri'])
  })

  test('5.3.2: auth headers reach only the mirror that they name', async () => {
    const { content } = serve('/v532.bin')
    const wanted = `${origin.otherUrl}/v532.bin`
    const missing = `${origin.url}/v532-missing.bin`
    await client.unary(FetchBlob, {
      uris: [missing, wanted],
      qualifiers: qualifiers({
        'checksum.sri': sri(content),
        'bazel.auth_headers': JSON.stringify({ [wanted]: { Authorization: 'Bearer t' } }),
      }),
    })
    assert.deepEqual(headersOf('/v532-missing.bin', 'authorization'), [undefined])
    assert.deepEqual(headersOf('/v532.bin', 'authorization'), ['Bearer t'])
  })

  test('7.0: the canonical id is the list of URLs, and with a checksum it changes nothing', async () => {
    const { content, url, other } = serve('/v70.bin')
    const ask = (uris: string[]) =>
      client.unary(FetchBlob, {
        uris,
        qualifiers: qualifiers({
          'checksum.sri': sri(content),
          'bazel.canonical_id': uris.join(' '),
        }),
      })
    await ask([url, other])
    const { uri } = await ask([other])
    assert.equal(uri, other)
    assert.equal(origin.count('/v70.bin'), 1)
  })

  test('7.0: without a checksum, another canonical id is another asset', async () => {
    const { url } = serve('/v70-plain.bin')
    const ask = (id: string) =>
      client.unary(FetchBlob, {
        uris: [url],
        qualifiers: qualifiers({ 'bazel.canonical_id': id }),
      })
    await ask('one')
    await ask('one')
    await ask('two')
    assert.equal(origin.count('/v70-plain.bin'), 2)
  })

  test('7.1: http_header goes to every URL', async () => {
    const { content, url } = serve('/v71.bin')
    await client.unary(FetchBlob, {
      uris: [`${origin.otherUrl}/v71-missing.bin`, url],
      qualifiers: qualifiers({
        'checksum.sri': sri(content),
        'http_header:Accept': 'application/octet-stream,text/plain',
        'http_header:Authorization': 'Bearer all',
      }),
    })
    for (const path of ['/v71-missing.bin', '/v71.bin']) {
      assert.deepEqual(headersOf(path, 'authorization'), ['Bearer all'])
      assert.deepEqual(headersOf(path, 'accept'), ['application/octet-stream,text/plain'])
    }
  })

  test('7.2: the digest is in the function asked for, and is readable at once', async () => {
    const { content, url } = serve('/v72.bin')
    const size = content.byteLength
    const ask = (digestFunction: number) =>
      client.unary(FetchBlob, {
        uris: [url],
        qualifiers: qualifiers({ 'checksum.sri': sri(content) }),
        digestFunction,
      })

    const sha256 = await ask(functions.SHA256)
    assert.equal(sha256.digestFunction, functions.SHA256)
    assert.equal(sha256.blobDigest?.hash, hashBytes('SHA256', content))

    const blake3 = await ask(functions.BLAKE3)
    const hash = hashBytes('BLAKE3', content)
    assert.equal(blake3.digestFunction, functions.BLAKE3)
    assert.deepEqual({ ...blake3.blobDigest }, { hash, sizeBytes: size })
    assert.deepEqual(await read(client, `blobs/blake3/${hash}/${size}`), content)
    // The same 64 digits are not the name of anything under SHA256.
    await assert.rejects(read(client, `blobs/${hash}/${size}`), { code: 'NOT_FOUND' })
    assert.equal(origin.count('/v72.bin'), 1, 'the checksum finds it for the second function')
  })

  test('7.5: without a checksum and with a bound in the future the origin is asked again', async () => {
    const content = Buffer.from('a token that may change\n')
    const url = origin.serve('/v75.bin', validated(content, { etag: '"v1"' }))
    const ask = () =>
      client.unary(FetchBlob, {
        uris: [url],
        oldestContentAccepted: { seconds: Math.floor(Date.now() / 1000) + 3600 },
        qualifiers: qualifiers({ 'bazel.canonical_id': url }),
        digestFunction: functions.SHA256,
      })
    const first = await ask()
    const second = await ask()
    assert.equal(first.blobDigest?.hash, hashBytes('SHA256', content))
    assert.deepEqual(second.blobDigest, first.blobDigest)
    assert.deepEqual(headersOf('/v75.bin', 'if-none-match'), [undefined, '"v1"'])
  })

  test('7.5: changed content without a checksum is what is answered', async () => {
    const url = origin.serve('/v75-changing.bin', (_request, response, nth) => {
      response.end(`version ${nth}\n`)
    })
    const ask = async () => {
      const oldestContentAccepted = { seconds: Math.floor(Date.now() / 1000) + 3600 }
      const { blobDigest } = await client.unary(FetchBlob, { uris: [url], oldestContentAccepted })
      return blobDigest?.hash
    }
    assert.equal(await ask(), hashBytes('SHA256', Buffer.from('version 1\n')))
    assert.equal(await ask(), hashBytes('SHA256', Buffer.from('version 2\n')))
  })

  test('8.0: http_header_url is for one URL, may repeat, and wins over http_header', async () => {
    const { content, url } = serve('/v80.bin')
    await client.unary(
      FetchBlob,
      {
        uris: [`${origin.otherUrl}/v80-missing.bin`, url],
        qualifiers: [
          { name: 'http_header_url:0:Authorization', value: 'Bearer zero' },
          { name: 'http_header_url:1:X-Two', value: 'a' },
          { name: 'http_header_url:1:X-Two', value: 'b' },
          { name: 'checksum.sri', value: sri(content) },
          { name: 'bazel.canonical_id', value: url },
          { name: 'http_header:authorization', value: 'Bearer all' },
        ],
        digestFunction: functions.SHA256,
      },
      bazelMetadata,
    )
    assert.deepEqual(headersOf('/v80-missing.bin', 'authorization'), ['Bearer zero'])
    assert.deepEqual(headersOf('/v80-missing.bin', 'x-two'), [undefined])
    assert.deepEqual(headersOf('/v80.bin', 'authorization'), ['Bearer all'])
    assert.deepEqual(headersOf('/v80.bin', 'x-two'), ['a, b'])
  })

  test('8.1.0: the digest function is that of the checksum', async () => {
    const { content, url } = serve('/v810.bin')
    const response = await client.unary(FetchBlob, {
      uris: [url],
      qualifiers: qualifiers({ 'checksum.sri': sri(content, 'SHA512') }),
      digestFunction: functions.SHA512,
    })
    const hash = hashBytes('SHA512', content)
    assert.deepEqual({ ...response.blobDigest }, { hash, sizeBytes: content.byteLength })
    assert.deepEqual(await read(client, `blobs/${hash}/${content.byteLength}`), content)
  })

  test('a failure is an RPC error, since Bazels before 8.2 do not read the inline status', async () => {
    const uris = [`${origin.url}/nowhere.bin`]
    await assert.rejects(client.unary(FetchBlob, { uris }), {
      code: 'NOT_FOUND',
      details: new RegExp(`${origin.url}/nowhere\\.bin.*404`),
    })
  })

  test('secrets of a request are in no log line and no answer', async () => {
    const secret = 'sentinel-of-newer-bazels'
    const { content, url } = serve('/secret.bin')
    const response = await client.unary(FetchBlob, {
      uris: [url],
      qualifiers: qualifiers({
        'checksum.sri': sri(content),
        'http_header_url:0:Authorization': `Bearer ${secret}`,
      }),
    })
    assert.deepEqual(headersOf('/secret.bin', 'authorization'), [`Bearer ${secret}`])
    assert.ok(!JSON.stringify(response).includes(secret))
    assert.ok(!larder.log().includes(secret))
  })
})
