import { gzipSync } from 'node:zlib'
import { build } from '../../src/gen/reapi.js'
import type { GrpcClient } from '../../src/wire/grpc-client.ts'
import {
  actionCacheService,
  byteStreamService,
  contentAddressableStorageService,
  fetchService,
  pushService,
} from '../../src/wire/methods.ts'
import { generatedContent } from '../fixtures/generated-content.ts'
import { drip } from '../fixtures/http-behaviours.ts'
import type { HttpOrigin } from '../fixtures/http-origin.ts'
import type { SeededRandom } from '../fixtures/seeded-random.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'
import { type Acknowledged, type BlobName, nameOf } from './acknowledged.ts'

const { Directory } = build.bazel.remote.execution.v2
const { Write } = byteStreamService.methods
const { BatchUpdateBlobs } = contentAddressableStorageService.methods
const { FetchBlob, FetchDirectory } = fetchService.methods
const { PushBlob, PushDirectory } = pushService.methods
const { UpdateActionResult } = actionCacheService.methods

const kib = 1024
const mib = 1024 * kib

/** A call or several; may be done again, with the same content, if it was interrupted. */
export interface Operation {
  readonly kind: string
  /** Tells what is acknowledged, as soon as it is. */
  run(client: GrpcClient, acknowledge: (held: Acknowledged) => void): Promise<void>
}

export interface TrafficOptions {
  readonly random: SeededRandom
  readonly origin: HttpOrigin
  /** Repositories and their commits; each commit is fetched once. */
  readonly commits: { readonly url: string; readonly id: string }[]
}

/** Operations of all kinds in random order, on content that is always new. */
export class MixedTraffic {
  readonly #options: TrafficOptions
  readonly #random: SeededRandom
  #contents = 0

  constructor(options: TrafficOptions) {
    this.#options = options
    this.#random = options.random
  }

  next(): Operation {
    const make = this.#random.pick([
      () => this.#write(),
      () => this.#write(),
      () => this.#batch(),
      () => this.#fetchBlob(),
      () => this.#fetchArchive(),
      () => this.#fetchCommit() ?? this.#fetchBlob(),
      () => this.#pushBlob(),
      () => this.#pushDirectory(),
      () => this.#actionResult(),
    ])
    return make()
  }

  #write(): Operation {
    const content = this.#content(this.#anySize())
    const chunkBytes = this.#random.between(16 * kib, mib)
    const blob = nameOf(content)
    const resourceName = `uploads/${this.#contents}/blobs/${blob.hash}/${blob.sizeBytes}`
    return {
      kind: 'Write',
      async run(client, acknowledge) {
        await client.clientStream(Write, writeRequests(resourceName, content, chunkBytes))
        acknowledge({ what: 'blob', blob })
      },
    }
  }

  #batch(): Operation {
    const count = this.#random.between(1, 20)
    const contents = Array.from({ length: count }, () => this.#content(this.#smallSize()))
    return {
      kind: 'BatchUpdateBlobs',
      async run(client, acknowledge) {
        for (const blob of await upload(client, contents)) acknowledge({ what: 'blob', blob })
      },
    }
  }

  #fetchBlob(): Operation {
    const content = this.#content(this.#random.below(3) === 0 ? this.#smallSize() : mib)
    const isSlow = this.#random.below(3) === 0 && content.byteLength > 0
    const body = isSlow ? drip(content, Math.ceil(content.byteLength / 5), 25) : content
    const uri = this.#options.origin.serve(`/blob/${this.#contents}`, body)
    const blob = nameOf(content)
    return {
      kind: 'FetchBlob',
      async run(client, acknowledge) {
        await client.unary(FetchBlob, { uris: [uri] })
        acknowledge({ what: 'blob asset', uri, blob })
      },
    }
  }

  #fetchArchive(): Operation {
    const count = this.#random.between(1, 12)
    const files = Array.from({ length: count }, (_, index) => ({
      path: `top/${index % 3}/file-${index}`,
      content: this.#content(this.#smallSize()),
    }))
    // Beyond what an import keeps in memory, so that it is streamed into the store.
    const large = { path: 'top/large', content: Buffer.alloc(5 * mib, `${this.#contents} `) }
    const entries = this.#random.below(4) === 0 ? [...files, large] : files
    const archive = gzipSync(tarBytes(entries), { level: 1 })
    const uri = this.#options.origin.serve(`/archive/${this.#contents}.tar.gz`, archive)
    return fetchDirectory('FetchDirectory of an archive', uri, [])
  }

  #fetchCommit(): Operation | undefined {
    const commit = this.#options.commits.pop()
    if (!commit) return undefined
    const qualifiers = [{ name: 'vcs.commit', value: commit.id }]
    return fetchDirectory('FetchDirectory of a repository', commit.url, qualifiers)
  }

  #pushBlob(): Operation {
    const content = this.#content(this.#smallSize())
    const uri = `https://pushed.example/blob/${this.#contents}`
    return {
      kind: 'PushBlob',
      async run(client, acknowledge) {
        const [blob] = await upload(client, [content])
        if (!blob) return
        acknowledge({ what: 'blob', blob })
        await client.unary(PushBlob, { uris: [uri], blobDigest: blob })
        acknowledge({ what: 'blob asset', uri, blob })
      },
    }
  }

  #pushDirectory(): Operation {
    const file = this.#content(this.#smallSize())
    const uri = `https://pushed.example/directory/${this.#contents}`
    const files = [{ name: 'file', digest: nameOf(file) }]
    const directory = Directory.encode({ files }).finish()
    return {
      kind: 'PushDirectory',
      async run(client, acknowledge) {
        await upload(client, [file, directory])
        const root = nameOf(directory)
        await client.unary(PushDirectory, { uris: [uri], rootDirectoryDigest: root })
        acknowledge({ what: 'directory asset', uri, qualifiers: [], root })
      },
    }
  }

  #actionResult(): Operation {
    const output = this.#content(this.#smallSize())
    const stdout = `built number ${this.#contents}`
    const action = nameOf(Buffer.from(stdout))
    const actionResult = {
      outputFiles: [{ path: 'out/file', digest: nameOf(output) }],
      stdoutRaw: Buffer.from(stdout),
    }
    return {
      kind: 'UpdateActionResult',
      async run(client, acknowledge) {
        await upload(client, [output])
        await client.unary(UpdateActionResult, { actionDigest: action, actionResult })
        acknowledge({ what: 'action result', action, stdout })
      },
    }
  }

  #content(sizeBytes: number): Buffer {
    this.#contents += 1
    return Buffer.concat([...generatedContent(sizeBytes, `content ${this.#contents}`)])
  }

  /** 16 KiB is where the store changes from rows to files. */
  #smallSize(): number {
    const border = 16 * kib
    switch (this.#random.below(4)) {
      case 0:
        return this.#random.below(2 * kib)
      case 1:
        return this.#random.between(border - 2, border + 2)
      case 2:
        return this.#random.below(3 * border)
      default:
        return this.#random.pick([0, 1, border, border + 1, 64 * kib, 64 * kib + 1])
    }
  }

  #anySize(): number {
    return this.#random.below(3) === 0 ? this.#random.between(64 * kib, 8 * mib) : this.#smallSize()
  }
}

function fetchDirectory(
  kind: string,
  uri: string,
  qualifiers: { name: string; value: string }[],
): Operation {
  return {
    kind,
    async run(client, acknowledge) {
      const { rootDirectoryDigest } = await client.unary(FetchDirectory, {
        uris: [uri],
        qualifiers,
      })
      const root = {
        hash: rootDirectoryDigest?.hash ?? '',
        sizeBytes: rootDirectoryDigest?.sizeBytes ?? 0,
      }
      acknowledge({ what: 'directory asset', uri, qualifiers, root })
    },
  }
}

async function upload(client: GrpcClient, contents: readonly Uint8Array[]): Promise<BlobName[]> {
  const blobs = contents.map(nameOf)
  const requests = contents.map((data, index) => ({ digest: blobs[index] ?? null, data }))
  const { responses } = await client.unary(BatchUpdateBlobs, { requests })
  for (const { status } of responses) {
    if (status?.code) throw new Error(`upload failed: ${status.code} ${status.message}`)
  }
  return blobs
}

function* writeRequests(resourceName: string, content: Buffer, chunkBytes: number) {
  let writeOffset = 0
  do {
    const data = content.subarray(writeOffset, writeOffset + chunkBytes)
    const finishWrite = writeOffset + data.byteLength === content.byteLength
    yield { resourceName, writeOffset, finishWrite, data }
    writeOffset += data.byteLength
  } while (writeOffset < content.byteLength)
}
