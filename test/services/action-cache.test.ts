import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { Digest } from '../../src/asset/digest.ts'
import { MemoryBlobStore } from '../../src/cas/memory-blob-store.ts'
import { build } from '../../src/gen/reapi.js'
import { digestFunctionToProto, digestToProto } from '../../src/wire/digests.ts'
import { actionCacheService } from '../../src/wire/methods.ts'
import {
  MemoryActionResults,
  putBlob,
  putDirectory,
  sha256Digest,
  startCacheServer,
  storeKinds,
} from '../fixtures/cache-services.ts'

const { GetActionResult, UpdateActionResult } = actionCacheService.methods
const { ActionResult, Tree } = build.bazel.remote.execution.v2

type ActionResultMessage = build.bazel.remote.execution.v2.ActionResult.$Properties

const notFound = { code: 'NOT_FOUND' }
const invalid = { code: 'INVALID_ARGUMENT' }
const node = (name: string, digest: Digest) => ({ name, digest: digestToProto(digest) })

for (const [kind, open] of Object.entries(storeKinds)) {
  const opened = await open({ blobSizeBytesMax: 32 * 1024 ** 2 })
  const { store, results } = opened
  const server = await startCacheServer(opened)
  const { client } = server
  after(async () => {
    await server[Symbol.asyncDispose]()
    await opened[Symbol.asyncDispose]()
  })

  let actions = 0
  const newAction = () => {
    actions += 1
    return digestToProto(sha256Digest(`action ${actions}`))
  }

  const update = async (actionResult: ActionResultMessage) => {
    const actionDigest = newAction()
    await client.unary(UpdateActionResult, { instanceName: 'i', actionDigest, actionResult })
    return actionDigest
  }

  const get = (actionDigest: { hash: string; sizeBytes: number }, wishes = {}) =>
    client.unary(GetActionResult, { instanceName: 'i', actionDigest, ...wishes })

  describe(`ActionCache over ${kind}`, () => {
    test('a result is answered as it was stored, to its own instance only', async () => {
      const actionDigest = newAction()
      const actionResult = {
        exitCode: 7,
        outputFiles: [
          {
            path: 'bin/o.txt',
            digest: digestToProto(await putBlob(store, '300000\n')),
            isExecutable: true,
          },
        ],
        outputSymlinks: [{ path: 'l', target: 'o.txt' }],
        stdoutDigest: digestToProto(sha256Digest('')),
        executionMetadata: { worker: 'w', queuedTimestamp: { seconds: 5, nanos: 6 } },
      }
      const expected = Buffer.from(ActionResult.encode(actionResult).finish())
      await assert.rejects(client.unary(GetActionResult, { actionDigest }), notFound)
      const stored = await client.unary(UpdateActionResult, { actionDigest, actionResult })
      assert.ok(expected.equals(ActionResult.encode(stored).finish()))
      const answered = await client.unary(GetActionResult, { actionDigest })
      assert.ok(expected.equals(ActionResult.encode(answered).finish()))
      await assert.rejects(get(actionDigest), notFound)
    })

    test('a later result replaces the earlier one', async () => {
      const actionDigest = newAction()
      for (const exitCode of [1, 2]) {
        await client.unary(UpdateActionResult, { actionDigest, actionResult: { exitCode } })
      }
      assert.equal((await client.unary(GetActionResult, { actionDigest })).exitCode, 2)
    })

    test('content comes inline where it is asked for and not otherwise', async () => {
      const file = async (path: string, text: string) => ({
        path,
        digest: digestToProto(await putBlob(store, text)),
      })
      const action = await update({
        outputFiles: [await file('a', 'of a'), await file('b', 'of b')],
        stdoutDigest: digestToProto(await putBlob(store, 'out')),
        stderrDigest: digestToProto(await putBlob(store, 'err')),
      })
      const textsOf = (result: Awaited<ReturnType<typeof get>>) =>
        [
          result.stdoutRaw,
          result.stderrRaw,
          ...result.outputFiles.map((output) => output.contents),
        ].map((bytes) => Buffer.from(bytes ?? []).toString())
      assert.deepEqual(textsOf(await get(action)), ['', '', '', ''])
      assert.deepEqual(textsOf(await get(action, { inlineStdout: true })), ['out', '', '', ''])
      const wishes = { inlineStderr: true, inlineOutputFiles: ['b', 'no such path'] }
      assert.deepEqual(textsOf(await get(action, wishes)), ['', 'err', '', 'of b'])
    })

    test('what would make the message too large is left out', async () => {
      const sizes = [1_500_000, 1_500_000, 300_000]
      const outputFiles = await Promise.all(
        sizes.map(async (sizeBytes, index) => ({
          path: `f${index}`,
          digest: digestToProto(await putBlob(store, Buffer.alloc(sizeBytes, index + 1))),
        })),
      )
      const action = await update({ outputFiles })
      const result = await get(action, { inlineOutputFiles: ['f0', 'f1', 'f2'] })
      assert.deepEqual(
        result.outputFiles.map((file) => file.contents?.byteLength ?? 0),
        [1_500_000, 0, 300_000],
      )
      assert.ok(ActionResult.encode(result).finish().byteLength < 2.1 * 1024 ** 2)
    })

    test('other digest functions name actions and their content', async () => {
      const digestFunction = digestFunctionToProto('BLAKE3')
      const action = await putBlob(store, 'an action named by BLAKE3', 'BLAKE3')
      const output = await putBlob(store, 'an output named by BLAKE3', 'BLAKE3')
      const actionDigest = digestToProto(action)
      const actionResult = { outputFiles: [{ path: 'o', digest: digestToProto(output) }] }
      const request = { actionDigest, digestFunction }
      await client.unary(UpdateActionResult, { ...request, actionResult })
      assert.equal((await client.unary(GetActionResult, request)).outputFiles.length, 1)
      await assert.rejects(client.unary(GetActionResult, { actionDigest }), notFound)
    })

    test('bad digests, no result and too large results are INVALID_ARGUMENT', async () => {
      const bad = { hash: 'xyz', sizeBytes: 1 }
      const results: ActionResultMessage[] = [
        { outputFiles: [{ path: 'no digest' }] },
        { outputFiles: [{ path: 'f', digest: bad }] },
        { outputDirectories: [{ path: 'neither tree nor root' }] },
        { outputDirectories: [{ path: 'd', treeDigest: bad }] },
        { outputDirectories: [{ path: 'd', rootDirectoryDigest: bad }] },
        { stdoutDigest: { hash: '0'.repeat(40), sizeBytes: 1 } },
        { stderrDigest: { hash: '0'.repeat(64), sizeBytes: -1 } },
        { stdoutRaw: Buffer.alloc(3_200_000) },
      ]
      for (const actionResult of results) await assert.rejects(update(actionResult), invalid)
      await assert.rejects(client.unary(UpdateActionResult, { actionDigest: newAction() }), invalid)
      await assert.rejects(client.unary(UpdateActionResult, { actionResult: {} }), invalid)
      await assert.rejects(client.unary(GetActionResult, {}), invalid)
      await assert.rejects(get(bad), invalid)
    })

    test('fields of a later version come back', async () => {
      const bytes = Buffer.from([0x20, 0x03, 0xfa, 0x07, 2, 9, 9])
      const action = sha256Digest('a result of a later version')
      await results.put('i', action, new Uint8Array(bytes))
      const { response, ...method } = GetActionResult
      const raw = { ...response, encode: response.encode, decode: (data: Uint8Array) => data }
      const answer = await client.unary(
        { ...method, response: raw },
        { instanceName: 'i', actionDigest: digestToProto(action) },
      )
      assert.ok(bytes.equals(answer))
    })

    test('bytes in the store that are no result are DATA_LOSS', async () => {
      const action = sha256Digest('damaged')
      await results.put('i', action, Buffer.from([0x12, 0x7f, 0x01]))
      await assert.rejects(get(digestToProto(action)), { code: 'DATA_LOSS' })
    })
  })
}

describe('completeness of action results', () => {
  const store = new MemoryBlobStore()
  const results = new MemoryActionResults()

  /** A result that names content in every way there is, and what it names. */
  async function completeResult() {
    const put = async (text: string) => putBlob(store, text)
    const inTree = [await put('in the root of the Tree'), await put('in a child of the Tree')]
    const [inRoot, inChild] = inTree.map((digest) => ({ files: [node('f', digest)] }))
    const tree = await putBlob(
      store,
      Tree.encode({ root: inRoot ?? {}, children: [inChild ?? {}] }).finish(),
    )
    const deep = await put('below the root Directory')
    const child = await putDirectory(store, { files: [node('f', deep)] })
    const root = await putDirectory(store, { directories: [node('d', child)] })
    const files = [await put('output 1'), await put('output 2')]
    const [stdout, stderr] = [await put('stdout'), await put('stderr')]
    const actionResult: ActionResultMessage = {
      outputFiles: files.map((digest, index) => ({
        path: `f${index}`,
        digest: digestToProto(digest),
      })),
      outputDirectories: [
        { path: 't', treeDigest: digestToProto(tree) },
        { path: 'r', rootDirectoryDigest: digestToProto(root) },
      ],
      stdoutDigest: digestToProto(stdout),
      stderrDigest: digestToProto(stderr),
    }
    return { actionResult, parts: [...inTree, tree, deep, child, root, ...files, stdout, stderr] }
  }

  test('a result that lacks any of its content is NOT_FOUND', async () => {
    await using server = await startCacheServer({ store, results })
    const actionDigest = digestToProto(sha256Digest('complete'))
    const { actionResult, parts } = await completeResult()
    await server.client.unary(UpdateActionResult, { actionDigest, actionResult })
    await server.client.unary(GetActionResult, { actionDigest })
    for (const part of parts) {
      assert.ok(store.evict(part))
      await assert.rejects(server.client.unary(GetActionResult, { actionDigest }), {
        ...notFound,
        message: /which is not held/,
      })
      await completeResult()
    }
    await server.client.unary(GetActionResult, { actionDigest })
  })

  test('an output directory that is no Tree or Directory is NOT_FOUND', async () => {
    await using server = await startCacheServer({ store, results })
    const digest = digestToProto(await putBlob(store, 'this is no message, is it?'))
    for (const output of [{ treeDigest: digest }, { rootDirectoryDigest: digest }]) {
      const actionDigest = digestToProto(sha256Digest(Object.keys(output)[0] ?? ''))
      const actionResult = { outputDirectories: [{ path: 'd', ...output }] }
      await server.client.unary(UpdateActionResult, { actionDigest, actionResult })
      await assert.rejects(server.client.unary(GetActionResult, { actionDigest }), notFound)
    }
  })

  test('updates can be refused', async () => {
    await using server = await startCacheServer({ store, results, actionCacheUpdates: false })
    const request = { actionDigest: digestToProto(sha256Digest('refused')), actionResult: {} }
    await assert.rejects(server.client.unary(UpdateActionResult, request), {
      code: 'PERMISSION_DENIED',
    })
  })
})
