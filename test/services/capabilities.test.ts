import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MemoryBlobStore } from '../../src/cas/memory-blob-store.ts'
import { build } from '../../src/gen/reapi.js'
import { capabilitiesService } from '../../src/wire/methods.ts'
import { startCacheServer } from '../fixtures/cache-services.ts'

const { GetCapabilities } = capabilitiesService.methods
const { Compressor, DigestFunction, SymlinkAbsolutePathStrategy } = build.bazel.remote.execution.v2

describe('GetCapabilities', () => {
  const store = new MemoryBlobStore({ blobSizeBytesMax: 123_456_789 })

  test('says what real clients need, for every instance name', async () => {
    await using server = await startCacheServer({ store })
    for (const instanceName of ['', 'inst/one', 'mycluster-prod.example.com/hello']) {
      const answer = await server.client.unary(GetCapabilities, { instanceName })
      const versions = [answer.deprecatedApiVersion, answer.lowApiVersion, answer.highApiVersion]
      assert.deepEqual(
        versions.map((version) => [version?.major, version?.minor]),
        [
          [2, 0],
          [2, 0],
          [2, 11],
        ],
      )
      assert.equal(answer.executionCapabilities, null)
      const cache = answer.cacheCapabilities
      assert.ok(cache)
      assert.equal(cache.digestFunctions?.[0], DigestFunction.Value.SHA256)
      const names = cache.digestFunctions?.map((value) => DigestFunction.Value[value])
      assert.deepEqual(names, ['SHA256', 'BLAKE3', 'SHA1', 'SHA384', 'SHA512', 'MD5'])
      assert.equal(cache.maxBatchTotalSizeBytes, 4_000_000)
      assert.equal(cache.maxCasBlobSizeBytes, 123_456_789)
      assert.equal(cache.symlinkAbsolutePathStrategy, SymlinkAbsolutePathStrategy.Value.ALLOWED)
      assert.deepEqual(cache.supportedCompressors, [Compressor.Value.ZSTD])
      assert.deepEqual(cache.supportedBatchUpdateCompressors, [Compressor.Value.ZSTD])
      assert.equal(cache.actionCacheUpdateCapabilities?.updateEnabled, true)
      assert.ok(!cache.splitBlobSupport && !cache.spliceBlobSupport)
    }
  })

  test('says so if the action cache takes no updates', async () => {
    await using server = await startCacheServer({ store, actionCacheUpdates: false })
    const answer = await server.client.unary(GetCapabilities, {})
    const updates = answer.cacheCapabilities?.actionCacheUpdateCapabilities
    assert.equal(updates?.updateEnabled ?? false, false)
  })
})
