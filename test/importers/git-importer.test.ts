import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createImporters } from '../../src/importers/create-importers.ts'
import { rejectionOf } from '../fixtures/asset-errors.ts'
import { diskTreeDigest } from '../fixtures/disk-tree.ts'
import { type GitWorkTree, gitServer } from '../fixtures/git-server.ts'
import { importSetup, never, selection } from '../fixtures/import-setup.ts'

const large = Buffer.alloc(5 * 1024 * 1024 + 3, 'large ')

async function fill({ directory }: GitWorkTree): Promise<void> {
  await mkdir(join(directory, 'src/ä ö/deep'), { recursive: true })
  await writeFile(join(directory, 'src/ä ö/deep/line\nfeed'), 'x')
  await writeFile(join(directory, 'same'), 'x')
  await writeFile(join(directory, 'empty'), '')
  await writeFile(join(directory, 'large'), large)
  await writeFile(join(directory, 'src/run'), '#!/bin/sh\n')
  await chmod(join(directory, 'src/run'), 0o755)
  await symlink('../same', join(directory, 'src/link'))
}

describe('git import', () => {
  test('a commit has the digest of its checkout, under each function', async () => {
    await using server = await gitServer()
    await using setup = importSetup()
    const work = server.repository('r')
    await fill(work)
    const commit = work.commit('all')
    const gitDir = `${work.directory}.git`
    const clone = join(server.directory, 'clone')
    execFileSync('git', ['clone', '-q', gitDir, clone])
    await rm(join(clone, '.git'), { recursive: true })
    for (const [digestFunction, algorithm] of [
      ['SHA256', 'sha256'],
      ['SHA512', 'sha512'],
    ] as const) {
      const selected = selection({ digestFunction })
      const root = await setup.importers.importCommit({ gitDir, commit }, selected, never)
      assert.deepEqual(root, { function: digestFunction, ...diskTreeDigest(clone, algorithm) })
      assert.equal((await setup.list(root))['src/run'], '*#!/bin/sh\n')
    }
    const part = selection({ directory: 'src/ä ö' })
    const root = await setup.importers.importCommit({ gitDir, commit }, part, never)
    assert.deepEqual(root, { function: 'SHA256', ...diskTreeDigest(join(clone, 'src/ä ö')) })
    for (const directory of ['none', 'same', 'src/link']) {
      const missing = setup.importers.importCommit(
        { gitDir, commit },
        selection({ directory }),
        never,
      )
      await rejectionOf(missing, 'NOT_FOUND')
    }
  })

  test('content that the store knows by its git id is not read again', async () => {
    await using server = await gitServer()
    await using setup = importSetup()
    const work = server.repository('r')
    await fill(work)
    const commit = work.commit('all')
    const gitDir = `${work.directory}.git`
    const root = await setup.importers.importCommit({ gitDir, commit }, selection(), never)
    for (const path of ['same', 'large']) {
      const id = work.git('rev-parse', `${commit}:${path}`)
      assert.ok(await setup.store.findByHash('GITSHA1', id), path)
      // Gone from the repository: reading it would fail.
      await rm(join(gitDir, 'objects', id.slice(0, 2), id.slice(2)))
    }
    assert.deepEqual(
      await setup.importers.importCommit({ gitDir, commit }, selection(), never),
      root,
    )
    await using empty = importSetup()
    const failing = empty.importers.importCommit({ gitDir, commit }, selection(), never)
    await rejectionOf(failing, 'DATA_LOSS')
  })

  test('a submodule is an empty directory', async () => {
    await using server = await gitServer()
    await using setup = importSetup()
    const work = server.repository('r')
    work.git('update-index', '--add', '--cacheinfo', `160000,${'a'.repeat(40)},vendor/lib`)
    work.git('commit', '-q', '-m', 'submodule')
    const commit = work.git('rev-parse', 'HEAD')
    const gitDir = join(work.directory, '.git')
    const root = await setup.importers.importCommit({ gitDir, commit }, selection(), never)
    assert.deepEqual(await setup.list(root), { vendor: 'dir', 'vendor/lib': 'dir' })
  })

  test('a symlink that leads out of the repository is refused', async () => {
    await using server = await gitServer()
    await using setup = importSetup()
    const work = server.repository('r')
    await symlink('../../outside', join(work.directory, 'link'))
    const commit = work.commit('link')
    const gitDir = `${work.directory}.git`
    const importing = setup.importers.importCommit({ gitDir, commit }, selection(), never)
    assert.match((await rejectionOf(importing, 'INVALID_ARGUMENT')).message, /"link" links to/)
  })

  test('says so if git is not installed', async () => {
    await using setup = importSetup()
    await using importers = createImporters({ store: setup.store, gitBinary: '/nonexistent/git' })
    const commit = { gitDir: '/nonexistent', commit: 'a'.repeat(40) }
    const error = await rejectionOf(
      importers.importCommit(commit, selection(), never),
      'FAILED_PRECONDITION',
    )
    assert.match(error.message, /git is not installed/)
  })
})
