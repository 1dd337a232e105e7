import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, type GrpcClient } from '../../src/wire/grpc-client.ts'
import { serveRepository } from '../fixtures/git-origin.ts'
import { type HttpOrigin, startOrigin } from '../fixtures/http-origin.ts'
import { startLarder } from '../fixtures/larder-server.ts'
import { SeededRandom } from '../fixtures/seeded-random.ts'
import { type Acknowledged, assertAllReadBack, assertHeld, inParallel } from './acknowledged.ts'
import { makeRepository } from './commit-series.ts'
import { MixedTraffic, type Operation } from './mixed-traffic.ts'
import { assertDatabasesAreSound, assertStoreIsConsistent } from './stored-blobs.ts'

const rounds = 50
const clients = 6
const killMsMax = 300
const startUpMsMax = 900
/** Of what was acknowledged in earlier rounds, so much is verified again in each. */
const olderSamples = 6

// Nothing that is held may be asked for at the origin again.
const config = `
fetch:
  freshness: [{ uri: '**', rule: immutable }]
`

/** LARDER_TEST_SEED runs the same traffic again, though never with the same timing. */
const seed = Number(process.env.LARDER_TEST_SEED ?? Date.now() % 2 ** 31)

describe(`kill -9 in the middle of traffic, seed ${seed}`, () => {
  const random = new SeededRandom(seed)
  let scratch: string
  let dataDir: string
  let origin: HttpOrigin
  let traffic: MixedTraffic
  const older: Acknowledged[] = []
  let latest: Acknowledged[] = []
  /** Operations that a kill has cut off; they are done again after it. */
  const interrupted: Operation[] = []
  const outcomes = new Map<string, { acknowledged: number; interrupted: number }>()
  let verifiedId = 0

  before(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'larder-kill-'))
    dataDir = join(scratch, 'data')
    origin = await startOrigin()
    const commits: { url: string; id: string }[] = []
    for (const name of ['one.git', 'two.git']) {
      const ids = await makeRepository(join(scratch, name), 10)
      const url = serveRepository(origin, scratch, name)
      commits.push(...ids.map((id) => ({ url, id })))
    }
    traffic = new MixedTraffic({ random, origin, commits })
  })

  after(async () => {
    await origin?.[Symbol.asyncDispose]()
    if (scratch) await rm(scratch, { recursive: true, force: true })
  })

  test(`${rounds} times in a row loses nothing and shows nothing partial`, async () => {
    for (let round = 1; round <= rounds; round += 1) {
      if (round % 10 === 5) await killDuringStartUp()
      await using server = await startLarder({ dataDir, config })
      using client = connect(server.grpcUrl)
      await verifyRound(client)
      const state = { isKilled: false, acknowledged: 0, wake: () => {} }
      const work = Promise.all(Array.from({ length: clients }, () => keepBusy(client, state)))
      await Promise.race([killMoment(round, state), work])
      state.isKilled = true
      await server.kill()
      await work
    }
  })

  test('then everything that was cut off can be done again, and all is there', async () => {
    await using server = await startLarder({ dataDir, config })
    using client = connect(server.grpcUrl)
    await verifyRound(client)
    await inParallel(interrupted.splice(0), (operation) => finish(client, operation))
    older.push(...latest)
    await origin.stop()
    await inParallel(older, (held) => assertHeld(client, held))
    await assertAllReadBack(client, await assertStoreIsConsistent(dataDir))
    assert.equal(await server.stop(), 0)
    assertDatabasesAreSound(dataDir)
  })

  test('and the kills have hit the traffic', (t) => {
    let interruptions = 0
    for (const [kind, counts] of outcomes) {
      t.diagnostic(
        `${kind}: ${counts.acknowledged} acknowledged, ${counts.interrupted} interrupted`,
      )
      assert.ok(counts.acknowledged > 0, kind)
      interruptions += counts.interrupted
    }
    assert.equal(outcomes.size, 8)
    // All clients but one or two are in the middle of something when the server is killed.
    assert.ok(interruptions > rounds, `only ${interruptions} operations were interrupted`)
    for (const slow of ['FetchBlob', 'FetchDirectory of an archive', 'Write']) {
      assert.ok((outcomes.get(slow)?.interrupted ?? 0) > 0, slow)
    }
  })

  /** All of the last round, all rows that are new, and a sample of what is older. */
  async function verifyRound(client: GrpcClient): Promise<void> {
    const blobs = await assertStoreIsConsistent(dataDir)
    await assertAllReadBack(
      client,
      blobs.filter(({ id }) => id > verifiedId),
    )
    verifiedId = blobs.at(-1)?.id ?? 0
    const sample = older.length === 0 ? [] : Array.from({ length: olderSamples }, pickOlder)
    const requestsBefore = origin.requests.length
    await inParallel([...latest, ...sample], (held) => assertHeld(client, held))
    assert.equal(origin.requests.length, requestsBefore, 'the origin was asked for what is held')
    older.push(...latest)
    latest = []
  }

  function pickOlder(): Acknowledged {
    return random.pick(older)
  }

  async function keepBusy(client: GrpcClient, state: TrafficState): Promise<void> {
    while (!state.isKilled) {
      // Not all at once: operations that take long would soon be the only ones.
      const again = random.below(3) === 0 ? interrupted.shift() : undefined
      const operation = again ?? traffic.next()
      try {
        await finish(client, operation)
        state.acknowledged += 1
        state.wake()
      } catch (error) {
        if (!state.isKilled) throw error
        interrupted.push(operation)
        outcomeOf(operation).interrupted += 1
      }
    }
  }

  async function finish(client: GrpcClient, operation: Operation): Promise<void> {
    await operation.run(client, (held) => void latest.push(held))
    outcomeOf(operation).acknowledged += 1
  }

  function outcomeOf({ kind }: Operation) {
    const outcome = outcomes.get(kind) ?? { acknowledged: 0, interrupted: 0 }
    outcomes.set(kind, outcome)
    return outcome
  }

  /** By the clock, or just when something is acknowledged, which is when a promise is the freshest. */
  function killMoment(round: number, state: TrafficState): Promise<void> {
    if (round % 2 === 0) return delay(random.below(killMsMax))
    const count = random.between(1, 8)
    return new Promise((resolve) => {
      state.wake = () => {
        if (state.acknowledged >= count) resolve()
      }
    })
  }

  async function killDuringStartUp(): Promise<void> {
    const args = ['src/main.ts', 'serve', '--data', dataDir]
    args.push('--grpc-listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0')
    const cwd = resolve(import.meta.dirname, '..', '..')
    const child = spawn(process.execPath, args, { cwd, stdio: 'ignore' })
    const exited = once(child, 'exit')
    await delay(random.below(startUpMsMax))
    child.kill('SIGKILL')
    assert.deepEqual(await exited, [null, 'SIGKILL'])
  }
})

interface TrafficState {
  isKilled: boolean
  acknowledged: number
  wake: () => void
}
