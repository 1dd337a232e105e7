import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, test } from 'node:test'
import { hashBytes } from '../../src/util/hasher.ts'
import { type LarderServer, startLarder } from '../fixtures/larder-server.ts'
import { type RunResult, runProgram, skipWithout } from '../fixtures/run-program.ts'

const skip = skipWithout('bst', 'buildstream')
const exampleDir = resolve(import.meta.dirname, '..', '..', 'examples', 'buildstream')

describe('BuildStream 1', { skip }, () => {
  test('pulls on a second machine what a first has pushed', async () => {
    await using larder = await startLarder()
    await using first = await buildStreamMachine(larder, addFiles)
    await using second = await buildStreamMachine(larder, addFiles)

    const missed = await second.bst('pull', 'hello.bst')
    assert.match(missed.output, /does not have .* cached/, missed.transcript)

    const built = await first.bst('build', 'hello.bst')
    succeeded(built)
    assert.match(built.output, /Push Queue:\s+processed 1, skipped 0, failed 0/, built.transcript)

    const pulled = await second.bst('pull', 'hello.bst')
    succeeded(pulled)
    assert.match(pulled.output, /Pull Queue:\s+processed 1, skipped 0, failed 0/, pulled.transcript)
    succeeded(await second.bst('checkout', 'hello.bst', join(second.root, 'out')))
    assert.deepEqual(
      await treeOf(join(second.root, 'out')),
      await treeOf(join(first.root, 'project', 'files')),
    )
  })

  test('pulls the artifact after the server was killed and started again', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'larder-data-'))
    try {
      {
        await using larder = await startLarder({ dataDir })
        await using first = await buildStreamMachine(larder, addFiles)
        succeeded(await first.bst('build', 'hello.bst'))
        await larder.kill()
      }
      await using larder = await startLarder({ dataDir })
      await using second = await buildStreamMachine(larder, addFiles)
      succeeded(await second.bst('pull', 'hello.bst'))
      succeeded(await second.bst('checkout', 'hello.bst', join(second.root, 'out')))
      assert.deepEqual(
        await treeOf(join(second.root, 'out')),
        await treeOf(join(second.root, 'project', 'files')),
      )
    } finally {
      await rm(dataDir, { recursive: true, force: true })
    }
  })

  test('pushes an artifact once, and finds it there the next time', async () => {
    await using larder = await startLarder()
    await using first = await buildStreamMachine(larder)
    await using second = await buildStreamMachine(larder)
    succeeded(await first.bst('build', 'hello.bst'))
    const again = await first.bst('push', 'hello.bst')
    succeeded(again)
    assert.match(again.output, /Push Queue:\s+processed 0, skipped 1, failed 0/, again.transcript)
    // A build pulls first: where the artifact is there, nothing is built.
    const built = await second.bst('build', 'hello.bst')
    succeeded(built)
    assert.match(built.output, /Pull Queue:\s+processed 1, skipped 0, failed 0/, built.transcript)
    assert.match(built.output, /Build Queue:\s+processed 0, skipped 1, failed 0/, built.transcript)
  })
})

interface BuildStreamMachine extends AsyncDisposable {
  readonly root: string
  bst(...args: string[]): Promise<RunResult>
}

/** A copy of the example, with a configuration and a cache of its own. */
async function buildStreamMachine(
  larder: LarderServer,
  prepare: (filesDir: string) => Promise<void> = async () => {},
): Promise<BuildStreamMachine> {
  const root = await mkdtemp(join(tmpdir(), 'larder-bst-'))
  const project = join(root, 'project')
  await cp(exampleDir, project, { recursive: true, verbatimSymlinks: true })
  const configuration = join(project, 'project.conf')
  const text = await readFile(configuration, 'utf8')
  assert.match(text, /http:\/\/127\.0\.0\.1:8981/)
  await writeFile(
    configuration,
    text.replace('http://127.0.0.1:8981', larder.grpcUrl.replace('grpc:', 'http:')),
  )
  await prepare(join(project, 'files'))
  const env = {
    HOME: root,
    PATH: process.env.PATH ?? '',
    LANG: 'C.UTF-8',
    XDG_CONFIG_HOME: join(root, 'config'),
    XDG_CACHE_HOME: join(root, 'cache'),
  }
  return {
    root,
    bst: (...args) =>
      runProgram('bst', ['--no-interactive', '--no-colors', ...args], { cwd: project, env }),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  }
}

// BuildStream sends what is below 1 MiB in batches and the rest by ByteStream.
const largeFile = randomBytes(2_500_000)

/** Adds to the example what is likely to go wrong; the same for every machine of a test. */
async function addFiles(filesDir: string): Promise<void> {
  await writeFile(join(filesDir, 'large.bin'), largeFile)
  await mkdir(join(filesDir, 'ünïcode', '深い'), { recursive: true })
  await writeFile(join(filesDir, 'ünïcode', '深い', 'run me'), '#!/bin/sh\n', { mode: 0o755 })
  await symlink('../large.bin', join(filesDir, 'ünïcode', 'link'))
  await symlink('nowhere/at/all', join(filesDir, 'dangling'))
  await mkdir(join(filesDir, 'empty'))
}

/** Every entry of a tree: a file's hash and executable bit, a link's target. */
async function treeOf(directory: string): Promise<Record<string, string>> {
  const tree: Record<string, string> = {}
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = path.slice(directory.length + 1)
    if (entry.isSymbolicLink()) tree[name] = `link to ${await readlink(path)}`
    else if (entry.isDirectory()) tree[name] = 'directory'
    else {
      const executable = ((await stat(path)).mode & 0o100) !== 0
      tree[name] = `${executable ? 'program' : 'file'} ${hashBytes('SHA256', await readFile(path))}`
    }
  }
  return tree
}

function succeeded(result: RunResult): void {
  assert.equal(result.code, 0, result.transcript)
}
