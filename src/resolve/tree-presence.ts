import { LRUCache } from 'lru-cache'
import { type Digest, digestText } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import { findMissingInTree } from '../cas/directory-walk.ts'

/** Trees whose completeness is remembered; an entry is about 200 bytes. */
const rememberedTreesMax = 100_000

/** A tree seen complete this long ago is walked again, so that its content's life is extended. */
const touchIntervalMs = 10 * 60_000

/**
 * Knows whether whole trees are in the CAS. A walk over a large tree takes longer than a request
 * should, so the store's eviction counter at which a tree was last seen complete is remembered:
 * while it stands still, the tree is complete.
 */
export class TreePresence {
  readonly #store: BlobStore
  readonly #clock: () => number
  readonly #seen = new LRUCache<string, { evictionCounter: number; walkedAtMs: number }>({
    max: rememberedTreesMax,
  })
  readonly #walks = new Map<string, Promise<boolean>>()

  constructor({ store, clock }: { store: BlobStore; clock: () => number }) {
    this.#store = store
    this.#clock = clock
  }

  /** True if the Directory and everything below it is held; extends the life of all of it. */
  async isComplete(root: Digest): Promise<boolean> {
    const seen = this.#seen.get(digestText(root))
    if (seen === undefined || seen.evictionCounter !== this.#store.evictionCounter()) {
      return this.#walk(root)
    }
    if (this.#clock() - seen.walkedAtMs > touchIntervalMs) {
      seen.walkedAtMs = this.#clock()
      // To extend lives, mostly. Content can go otherwise than by eviction: when found damaged.
      this.#walk(root).then(
        (isWhole) => isWhole || this.#seen.delete(digestText(root)),
        () => {},
      )
    }
    return true
  }

  /** Remembers a tree that was just imported whole, as the store stood before the import began. */
  remember(root: Digest, evictionCounterBefore: number | undefined): void {
    if (evictionCounterBefore === undefined) return
    this.#seen.set(digestText(root), {
      evictionCounter: evictionCounterBefore,
      walkedAtMs: this.#clock(),
    })
  }

  /** All who ask for a tree that is being walked wait for that walk: after an eviction all walk. */
  #walk(root: Digest): Promise<boolean> {
    const key = `${this.#store.evictionCounter()} ${digestText(root)}`
    const running = this.#walks.get(key)
    if (running) return running
    const walk = this.#walkNow(root).finally(() => this.#walks.delete(key))
    this.#walks.set(key, walk)
    return walk
  }

  async #walkNow(root: Digest): Promise<boolean> {
    // Read first: what is evicted during the walk makes the next request walk again.
    const evictionCounter = this.#store.evictionCounter()
    if (!(await this.#isHeldWhole(root))) return false
    this.remember(root, evictionCounter)
    return true
  }

  /** A pushed root that is no Directory, or has none below it, can be handed out as little. */
  async #isHeldWhole(root: Digest): Promise<boolean> {
    try {
      return (await findMissingInTree(this.#store, root)) === undefined
    } catch (error) {
      if (error instanceof AssetError && error.code === 'INVALID_ARGUMENT') return false
      throw error
    }
  }
}
