import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'

const module = resolve(import.meta.dirname, '../../src/cli/temporary-path.ts')

for (const [signal, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`${signal} takes what is half done with it`, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'larder-cli-'))
    t.after(() => rm(directory, { recursive: true }))
    const code = `
      import { mkdirSync, writeFileSync } from 'node:fs'
      import { temporaryPath } from ${JSON.stringify(module)}
      const path = process.argv[1] + '/half'
      using _ = temporaryPath(path)
      mkdirSync(path)
      writeFileSync(path + '/file', 'content')
      console.log('ready')
      await new Promise((resolve) => setTimeout(resolve, 60_000))`
    const args = ['--input-type=module', '--eval', code, directory]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    assert.deepEqual(await readdir(directory), ['half'])
    child.kill(signal)
    const [status] = await once(child, 'close')
    assert.equal(status, exitCode)
    assert.deepEqual(await readdir(directory), [])
  })
}
