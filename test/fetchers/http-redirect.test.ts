import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { failure } from '../contract/fetcher-contract.ts'
import { fetchRequest } from '../fixtures/fetch-request.ts'
import { answerStatus, rawAnswer, redirectTo } from '../fixtures/http-behaviours.ts'
import { startOrigin } from '../fixtures/http-origin.ts'
import { fetchBody, fetchText, never, openHttp, readBody } from './http-setup.ts'

describe('http redirects', () => {
  for (const status of [301, 302, 303, 307, 308]) {
    test(`follows ${status}`, async () => {
      await using setup = await openHttp()
      const { origin, fetcher } = setup
      const target = origin.serve('/target', 'content')
      const url = origin.serve('/start', redirectTo('/target', status))
      await using fetched = await fetchBody(fetcher, fetchRequest(url))
      assert.equal(fetched.finalUri, target)
      assert.equal((await readBody(fetched)).toString(), 'content')
      assert.equal(origin.requests[1]?.method, 'GET')
    })
  }

  test('follows as many as are allowed and not one more', async () => {
    await using setup = await openHttp({ limits: { redirectsMax: 3 } })
    const { origin, fetcher } = setup
    origin.serve('/0', 'content')
    for (let n = 1; n <= 4; n++) origin.serve(`/${n}`, redirectTo(`/${n - 1}?token=s3cret`))
    assert.equal(await fetchText(fetcher, fetchRequest(`${origin.url}/3`)), 'content')
    const fetching = fetcher.fetch(fetchRequest(`${origin.url}/4`), never)
    const { message } = await failure(fetching, 'PERMISSION_DENIED')
    assert.match(message, /more than 3 redirects: \S+\/4 → \S+\/3\?… → /)
    assert.ok(!message.includes('s3cret'))
    assert.equal(origin.count('/0'), 1)
  })

  test('names the circle that redirects go in', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const url = origin.serve('/a', redirectTo('/b'))
    origin.serve('/b', redirectTo(`${origin.url}/a`))
    const { message } = await failure(fetcher.fetch(fetchRequest(url), never), 'PERMISSION_DENIED')
    assert.ok(message.endsWith(`go in a circle: ${url} → ${origin.url}/b → ${url}`), message)
    assert.equal(origin.requests.length, 2)
  })

  test('never goes from https to http', async () => {
    await using plain = await startOrigin()
    await using setup = await openHttp({ tls: 'valid' })
    const target = plain.serve('/file', 'content')
    const url = setup.origin.serve('/start', redirectTo(target))
    const fetching = setup.fetcher.fetch(fetchRequest(url), never)
    const { message } = await failure(fetching, 'PERMISSION_DENIED')
    assert.match(message, /redirects from https to http:/)
    assert.equal(plain.requests.length, 0)
  })

  test('goes from http to https', async () => {
    await using plain = await startOrigin()
    await using setup = await openHttp({ tls: 'valid' })
    const url = plain.serve('/start', redirectTo(setup.origin.serve('/file', 'content')))
    assert.equal(await fetchText(setup.fetcher, fetchRequest(url)), 'content')
  })

  for (const location of ['file:///etc/passwd', 'ftp://127.0.0.1/x', 'javascript:0', 'data:,x']) {
    test(`never goes to ${location}`, async () => {
      await using setup = await openHttp()
      const url = setup.origin.serve('/start', redirectTo(location))
      await failure(setup.fetcher.fetch(fetchRequest(url), never), 'PERMISSION_DENIED')
    })
  }

  test('a redirect without an address, or with a bad one, is said to be so', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    for (const headers of [{}, { location: 'http://[bad' }]) {
      const url = origin.serve('/start', answerStatus(302, headers))
      const fetching = fetcher.fetch(fetchRequest(url), never)
      assert.match(
        (await failure(fetching, 'PERMISSION_DENIED')).message,
        /without a valid address/,
      )
    }
  })

  test('takes an address in raw UTF-8, as some servers send it', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    origin.serve('/%C3%BCber', 'content')
    const location = Buffer.from('/über').toString('latin1')
    const head = `HTTP/1.1 302 Found\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`
    const url = origin.serve('/start', rawAnswer(head))
    assert.equal(await fetchText(fetcher, fetchRequest(url)), 'content')
  })

  test('a failure behind a redirect names both ends', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const url = origin.serve('/start', redirectTo('/gone'))
    const { message, uri } = await failure(fetcher.fetch(fetchRequest(url), never), 'NOT_FOUND')
    assert.equal(message, `GET ${url} (redirected to ${origin.url}/gone): answered 404 Not Found`)
    assert.equal(uri, url)
  })
})
