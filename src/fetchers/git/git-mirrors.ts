import { createHash } from 'node:crypto'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { abortError } from '../../util/abort-error.ts'
import { writeGitLauncher } from './git-launcher.ts'

/** Tokens rotate: who comes with an older one is asked about once more. */
const admittedScopesMax = 1000

/**
 * A directory of bare repositories, one for each remote URL and object format. Work on one mirror is
 * done by one at a time; readers of commits that are there are not in its way, since fetches only
 * add objects, and nothing is collected.
 */
export class GitMirrors {
  readonly #directory: string
  readonly #mirrors = new Map<string, GitMirror>()
  #launcher: Promise<string> | undefined

  constructor(directory: string) {
    this.#directory = directory
  }

  /** The mirror for a remote; its directory may not be there yet. */
  mirror(remoteUrl: string, objectFormat: 'sha1' | 'sha256'): GitMirror {
    const hash = createHash('sha256').update(remoteUrl).digest('hex')
    const name = objectFormat === 'sha1' ? `${hash}.git` : `${hash}.${objectFormat}.git`
    let mirror = this.#mirrors.get(name)
    if (!mirror) {
      mirror = new GitMirror(join(this.#directory, name), objectFormat)
      this.#mirrors.set(name, mirror)
    }
    return mirror
  }

  /** A place to run git in for commands that need no repository. */
  get directory(): string {
    return this.#directory
  }

  /** The path of the program that starts git, written once. */
  launcher(): Promise<string> {
    this.#launcher ??= writeGitLauncher(this.#directory).catch((error: unknown) => {
      this.#launcher = undefined
      throw error
    })
    return this.#launcher
  }
}

export class GitMirror {
  readonly gitDir: string
  readonly objectFormat: 'sha1' | 'sha256'
  /** Scopes that the origin has let in; see `FetchRequest.scope`. */
  readonly admitted = new LRUCache<string, true>({ max: admittedScopesMax })
  #last: Promise<void> = Promise.resolve()
  #leases = 0
  #wakeRemover: (() => void) | undefined

  constructor(gitDir: string, objectFormat: 'sha1' | 'sha256') {
    this.gitDir = gitDir
    this.objectFormat = objectFormat
  }

  /** Runs the work when all that came before is over. */
  async exclusively<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#last
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last = promise
    try {
      await orAborted(before, signal)
      return await work()
    } finally {
      // Who gave up waiting must not let others in before their turn.
      void before.then(resolve)
    }
  }

  /** Keeps the mirror from being removed until it is called. Only inside `exclusively`. */
  lease(): () => void {
    this.#leases++
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#leases--
      if (this.#leases === 0) this.#wakeRemover?.()
    }
  }

  /** Removes a damaged mirror, when nobody reads it any more. Only inside `exclusively`. */
  async remove(signal: AbortSignal): Promise<void> {
    while (this.#leases > 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wakeRemover = resolve
      await orAborted(promise, signal)
    }
    // Renamed first: half a repository must never stand under the name.
    const aside = `${this.gitDir}.removed`
    await rm(aside, { recursive: true, force: true })
    await rename(this.gitDir, aside).catch(ignoreMissing)
    await rm(aside, { recursive: true, force: true })
  }
}

async function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(abortError(signal, 'waiting for the repository'))
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
}
