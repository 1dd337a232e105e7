import { randomBytes } from 'node:crypto'
import { LocalBlobStore } from '../../../src/cas/local/local-blob-store.ts'
import type { LocalStoreOptions } from '../../../src/cas/local/local-store-options.ts'
import { nameBlob } from '../../../src/cas/verified-blob.ts'

/**
 * A process that stores blobs until it is killed. It prints the SHA256 and size of each blob on a
 * line of its own once the store has acknowledged it.
 */
const [directory = '', optionsText = '{}'] = process.argv.slice(2)
const options: LocalStoreOptions = JSON.parse(optionsText)
const store = await LocalBlobStore.open(directory, options)
console.log('open')

async function putForever(sizes: readonly number[]): Promise<never> {
  for (;;) {
    const blobs = sizes.map((size) => nameBlob(new Uint8Array(randomBytes(size)), 'BLAKE3'))
    const lines = blobs.map(({ digests }) => `${digests[0]?.hash} ${digests[0]?.sizeBytes}\n`)
    await store.putBatch(blobs)
    process.stdout.write(lines.join(''))
  }
}

async function uploadForever(size: number): Promise<never> {
  for (;;) {
    await using upload = store.upload({ functions: ['BLAKE3'], sizeBytesMax: size })
    for (let at = 0; at < size; at += 100_000) {
      await upload.write(randomBytes(Math.min(100_000, size - at)))
    }
    const hashes = await upload.finish()
    await upload.commit()
    process.stdout.write(`${hashes.get('SHA256')} ${size}\n`)
  }
}

await Promise.race([
  putForever([10, 3000, 20_000, 90_000]),
  putForever([18_000, 18_001]),
  uploadForever(1_300_000),
  uploadForever(40_000),
])
