import { assetIndexContract } from '../contract/asset-index-contract.ts'
import { MemoryAssetIndex } from '../fixtures/memory-asset-index.ts'

assetIndexContract('MemoryAssetIndex', async () => {
  const index = new MemoryAssetIndex()
  return { index, reopen: async () => index, dispose: () => index[Symbol.asyncDispose]() }
})
