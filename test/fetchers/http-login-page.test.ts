import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { failure } from '../contract/fetcher-contract.ts'
import { fetchRequest } from '../fixtures/fetch-request.ts'
import { answerBody, redirectTo } from '../fixtures/http-behaviours.ts'
import { fetchText, never, openHttp } from './http-setup.ts'

const page = answerBody('<html>log in</html>', { 'content-type': 'Text/HTML; charset=utf-8' })

describe('http login page', () => {
  for (const name of ['a.tar.gz', 'a.jar', 'a.7z', 'tool.exe', 'data.json']) {
    test(`is not ${name}`, async () => {
      await using setup = await openHttp()
      const { origin, fetcher } = setup
      origin.serve('/login', page)
      const url = origin.serve(`/${name}`, redirectTo(`/login?next=/${name}`))
      const fetching = fetcher.fetch(fetchRequest(url), never)
      const { message } = await failure(fetching, 'PERMISSION_DENIED')
      assert.match(message, /\/login\?…\): answered with an HTML page, probably a login page$/)
    })
  }

  test('on another host with the same path is recognised too', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const url = origin.serve('/a.zip', (request, response, nth) =>
      (nth === 1 ? redirectTo(`${origin.otherUrl}/a.zip`) : page)(request, response, nth),
    )
    await failure(fetcher.fetch(fetchRequest(url), never), 'PERMISSION_DENIED')
  })

  for (const name of ['page.html', 'page.HTM', 'page.xhtml', 'page', 'docs/v1.2', 'docs/']) {
    test(`may be ${name}`, async () => {
      await using setup = await openHttp()
      const { origin, fetcher } = setup
      origin.serve('/moved', page)
      const url = origin.serve(`/${name}`, redirectTo('/moved'))
      assert.equal(await fetchText(fetcher, fetchRequest(url)), '<html>log in</html>')
    })
  }

  test('needs a redirect: what is at the address itself is content', async () => {
    await using setup = await openHttp()
    const url = setup.origin.serve('/report.txt', page)
    assert.equal(await fetchText(setup.fetcher, fetchRequest(url)), '<html>log in</html>')
  })

  test('a file behind a redirect passes', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    origin.serve('/storage/1', 'content')
    const url = origin.serve('/a.zip', redirectTo('/storage/1'))
    assert.equal(await fetchText(fetcher, fetchRequest(url)), 'content')
  })
})
