import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssetError } from '../../src/asset/errors.ts'
import { createFetchMetrics } from '../../src/telemetry/fetch-metrics.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

test('calls are counted by method and status', async () => {
  using metrics = createMetrics({ version: '1.2.3' })
  const meter = metrics.methodMeter('/google.bytestream.ByteStream/Read', 'serverStream')
  meter.started()
  meter.started()
  meter.handled('OK', 0.01)
  meter.handled('NOT_FOUND', 0.01)
  const text = await metrics.text()
  const labels =
    'grpc_service="google.bytestream.ByteStream",grpc_method="Read",grpc_type="server_stream"'
  assert.ok(text.includes(`grpc_server_started_total{${labels}} 2`), text)
  assert.ok(text.includes(`grpc_server_handled_total{${labels},grpc_code="NOT_FOUND"} 1`))
  assert.ok(text.includes(`grpc_server_handling_seconds_count{${labels}} 2`))
  assert.match(text, /larder_build_info\{version="1\.2\.3",node="/)
  assert.match(text, /larder_event_loop_delay_seconds\{quantile="0\.99"\} /)
  assert.match(text, /process_resident_memory_bytes /)
})

test('stores are read when a scrape comes, and evicted bytes only grow', async () => {
  using metrics = createMetrics({ version: '0' })
  let evictedBytes = 5
  metrics.watch({
    cas: () => ({ blobs: 2, sizeBytes: 30, sizeBytesMax: 100, evictedBytes }),
    assets: async () => 7,
  })
  const first = await metrics.text()
  for (const line of [
    'larder_cas_blobs 2',
    'larder_cas_size_bytes 30',
    'larder_cas_size_limit_bytes 100',
    'larder_cas_evicted_bytes_total 5',
    'larder_assets 7',
  ]) {
    assert.ok(first.includes(`\n${line}\n`), `${line} in ${first}`)
  }
  evictedBytes = 9
  assert.match(await metrics.text(), /\nlarder_cas_evicted_bytes_total 9\n/)
})

test('fetches and imports are counted with their outcome', async () => {
  using metrics = createMetrics({ version: '0' })
  const observer = createFetchMetrics(metrics)
  const about = { kind: 'blob', fetcher: 'http' } as const
  const answer = await observer.observeFetch(about, async (onBytes) => {
    onBytes(40)
    assert.match(await metrics.text(), /\nlarder_fetches_in_flight 1\n/)
    onBytes(2)
    return 'answer'
  })
  assert.equal(answer, 'answer')
  const failing = async () => {
    throw new AssetError('NOT_FOUND', 'gone')
  }
  await assert.rejects(observer.observeFetch(about, failing), { message: 'gone' })
  await observer.observeImport('git', async () => {})
  const text = await metrics.text()
  assert.match(text, /larder_fetches_total\{kind="blob",fetcher="http",result="ok"\} 1/)
  assert.match(text, /larder_fetches_total\{kind="blob",fetcher="http",result="not_found"\} 1/)
  assert.match(text, /larder_fetch_bytes_total\{fetcher="http"\} 42/)
  assert.match(text, /\nlarder_fetches_in_flight 0\n/)
  assert.match(text, /larder_imports_total\{format="git",result="ok"\} 1/)
})

test('two servers in one process do not share figures', async () => {
  using one = createMetrics({ version: '0' })
  using two = createMetrics({ version: '0' })
  one.indexLookups.inc({ result: 'hit' })
  assert.match(await one.text(), /larder_index_lookups_total\{result="hit"\} 1/)
  assert.doesNotMatch(await two.text(), /larder_index_lookups_total\{/)
})
