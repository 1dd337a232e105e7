import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { failure } from '../contract/fetcher-contract.ts'
import { fetchRequest } from '../fixtures/fetch-request.ts'
import { answerBody, basicAuth, redirectTo } from '../fixtures/http-behaviours.ts'
import { startOrigin } from '../fixtures/http-origin.ts'
import { fetchText, never, openHttp } from './http-setup.ts'

describe('http request headers', () => {
  test('are ours where the request sets none', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    await fetchText(fetcher, fetchRequest(origin.serve('/file', 'content')))
    assert.deepEqual(origin.requests[0]?.headers, {
      host: `127.0.0.1:${origin.port}`,
      connection: 'keep-alive',
      accept: '*/*',
      'user-agent': 'larder/test',
      'accept-encoding': 'identity',
    })
  })

  test('of the request win, whatever their case, and are sent once', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const headers = {
      'User-Agent': 'client/1',
      ACCEPT: 'application/x-thing',
      authorization: 'Bearer token',
      cookie: ['a=1', 'b=2'],
      'x-several': ['one', 'two'],
    }
    await fetchText(fetcher, fetchRequest(origin.serve('/file', 'content'), { headers }))
    const sent = origin.requests[0]?.headers
    assert.equal(sent?.['user-agent'], 'client/1')
    assert.equal(sent?.accept, 'application/x-thing')
    assert.equal(sent?.authorization, 'Bearer token')
    assert.equal(sent?.cookie, 'a=1; b=2')
    assert.equal(sent?.['x-several'], 'one, two')
    assert.equal(sent?.['accept-encoding'], 'identity')
  })

  test('let a protected origin answer', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const url = origin.serve('/file', basicAuth('user', 'pass', answerBody('content')))
    await failure(fetcher.fetch(fetchRequest(url), never), 'PERMISSION_DENIED')
    const headers = { authorization: `Basic ${Buffer.from('user:pass').toString('base64')}` }
    assert.equal(await fetchText(fetcher, fetchRequest(url, { headers })), 'content')
  })

  test('follow redirects within an origin', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    origin.serve('/target', 'content')
    const url = origin.serve('/start', redirectTo('/target'))
    await fetchText(fetcher, fetchRequest(url, { headers: { 'x-token': 's3cret' } }))
    assert.equal(origin.requests[1]?.headers['x-token'], 's3cret')
  })

  test('never reach another port, and not the first origin again after it', async () => {
    await using other = await startOrigin()
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    origin.serve('/target', 'content')
    other.serve('/back', redirectTo(`${origin.url}/target`))
    const url = origin.serve('/start', redirectTo(`${other.url}/back`))
    const headers = { authorization: 's3cret', cookie: 's3cret', 'x-api-key': 's3cret' }
    assert.equal(await fetchText(fetcher, fetchRequest(url, { headers })), 'content')
    assert.equal(origin.requests[0]?.headers.authorization, 's3cret')
    for (const request of [other.requests[0], origin.requests[1]]) {
      assert.ok(request)
      assert.ok(!JSON.stringify(request).includes('s3cret'))
      assert.equal(request.headers['user-agent'], 'larder/test')
    }
  })

  test('never reach another host on the same port', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    origin.serve('/target', 'content')
    const url = origin.serve('/start', redirectTo(`${origin.otherUrl}/target`))
    await fetchText(fetcher, fetchRequest(url, { headers: { authorization: 's3cret' } }))
    assert.equal(origin.requests[1]?.headers.authorization, undefined)
  })

  test('never reach another scheme', async () => {
    await using plain = await startOrigin()
    await using setup = await openHttp({ tls: 'valid' })
    const { origin, fetcher } = setup
    const url = plain.serve('/start', redirectTo(origin.serve('/target', 'content')))
    await fetchText(fetcher, fetchRequest(url, { headers: { authorization: 's3cret' } }))
    assert.equal(origin.requests[0]?.headers.authorization, undefined)
  })

  test('userinfo in an address is neither sent nor shown', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    origin.serve('/file', 'content')
    const location = `http://user:s3cret@127.0.0.1:${origin.port}/file`
    const url = origin.serve('/start', redirectTo(location))
    await fetchText(fetcher, fetchRequest(url))
    await fetchText(fetcher, fetchRequest(location))
    assert.ok(!JSON.stringify(origin.requests).includes('authorization'))
  })

  test('that HTTP cannot carry are refused without showing them', async () => {
    await using setup = await openHttp()
    const url = setup.origin.serve('/file', 'content')
    const request = fetchRequest(url, { headers: { 'x-token': 's3cret\u{1f511}' } })
    const { message } = await failure(setup.fetcher.fetch(request, never), 'INVALID_ARGUMENT')
    assert.ok(!message.includes('s3cret'), message)
    assert.equal(setup.origin.requests.length, 0)
  })
})
