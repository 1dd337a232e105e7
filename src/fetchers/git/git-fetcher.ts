import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { SimpleGit } from 'simple-git'
import { AssetError } from '../../asset/errors.ts'
import { throwIfAborted } from '../../util/abort-error.ts'
import type { FetchedCommit, Fetcher, FetchRequest } from '../fetcher.ts'
import { type GitCommandsOptions, gitCommands, remoteName } from './git-commands.ts'
import { gitError, isCorruption, refusesIds } from './git-failure.ts'
import { type GitMirror, GitMirrors } from './git-mirrors.ts'
import { acceptsGit, type GitTarget, parseGitTarget } from './git-target.ts'

export interface GitFetcherOptions {
  /** Where the mirrors are kept, e.g. `<data>/mirrors`. */
  readonly mirrorsDirectory: string
  readonly gitBinary?: string
  /** The process environment, or a part of it: PATH, proxies, the ssh agent. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** By git's names. `file` reads the server's own disk, so it is not among the defaults. */
  readonly protocols?: readonly string[]
}

/** The protocols that lead to other hosts. */
export const defaultGitProtocols = ['https', 'http', 'ssh', 'git'] as const

/**
 * Gets a commit of a git repository into a local bare mirror, by the system's git. A commit that was
 * fetched once costs no network. `resolved` names the commit that a branch or tag meant.
 */
export function createGitFetcher(options: GitFetcherOptions): Fetcher {
  const mirrors = new GitMirrors(options.mirrorsDirectory)
  const protocols = options.protocols ?? defaultGitProtocols
  const commands = {
    gitBinary: options.gitBinary ?? 'git',
    environment: options.environment ?? {},
  }
  return {
    name: 'git',
    yields: 'commit',
    accepts: (request) => acceptsGit(request, protocols),
    async fetch(request: FetchRequest, signal: AbortSignal): Promise<FetchedCommit> {
      const target = parseGitTarget(request, protocols)
      try {
        throwIfAborted(signal, `fetching ${target.display}`)
        return await new GitFetch({ target, mirrors, commands, signal }).run()
      } catch (error) {
        throw gitError(error, target, signal)
      }
    },
  }
}

interface GitFetchParts {
  readonly target: GitTarget
  readonly mirrors: GitMirrors
  readonly commands: GitCommandsOptions
  readonly signal: AbortSignal
}

class GitFetch {
  readonly #target: GitTarget
  readonly #mirrors: GitMirrors
  readonly #commands: GitCommandsOptions
  readonly #signal: AbortSignal

  constructor({ target, mirrors, commands, signal }: GitFetchParts) {
    this.#target = target
    this.#mirrors = mirrors
    this.#commands = commands
    this.#signal = signal
  }

  async run(): Promise<FetchedCommit> {
    const { wanted, remoteUrl, display } = this.#target
    const id = 'commit' in wanted ? wanted.commit : await this.#idOfRef(wanted.ref)
    const mirror = this.#mirrors.mirror(remoteUrl, id.length === 40 ? 'sha1' : 'sha256')
    return mirror.exclusively(this.#signal, async () => {
      const commit = await this.#commitIn(mirror, id)
      const release = mirror.lease()
      return {
        type: 'commit',
        gitDir: mirror.gitDir,
        commit,
        finalUri: display,
        resolved: [{ name: 'vcs.commit', value: commit }],
        [Symbol.asyncDispose]: async () => release(),
      }
    })
  }

  /** Asks the server what a ref is now. */
  async #idOfRef(ref: string): Promise<string> {
    const git = await this.#git(this.#mirrors.directory)
    const listing = await git.listRemote(['--', remoteName, ref, `${ref}^{}`])
    const ids = new Map<string, string>()
    for (const line of listing.split('\n')) {
      const [id, name] = line.trim().split('\t')
      if (id && name) ids.set(name, id)
    }
    // An annotated tag is an object of its own; its commit is listed beside it.
    const id = ids.get(`${ref}^{}`) ?? ids.get(ref)
    if (id && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(id)) return id
    const what =
      ref === 'HEAD'
        ? 'commit: it is empty'
        : ref.replace('refs/heads/', 'branch ').replace('refs/tags/', 'tag ')
    throw this.#notFound(`the repository has no ${what}`)
  }

  /** The id of the commit, which is in the mirror then. A damaged mirror is made anew once. */
  async #commitIn(mirror: GitMirror, id: string): Promise<string> {
    try {
      return await this.#fetchInto(mirror, id)
    } catch (error) {
      if (this.#signal.aborted || !isCorruption(error)) throw error
      await mirror.remove(this.#signal)
      return this.#fetchInto(mirror, id)
    }
  }

  async #fetchInto(mirror: GitMirror, id: string): Promise<string> {
    await this.#ensureRepository(mirror)
    const git = await this.#git(mirror.gitDir, mirror.gitDir)
    const held = await this.#lookUp(git, id)
    if (held) {
      await this.#admit(mirror)
      return held
    }
    try {
      // Kept under a ref, so that the next fetch tells the server what is here already.
      await this.#fetch(git, ['--depth=1'], [`+${id}:refs/larder/commits/${id}`])
    } catch (error) {
      if (!refusesIds(error)) throw error
      await this.#fetchAll(git)
    }
    mirror.admitted.set(this.#target.scope, true)
    const fetched = await this.#lookUp(git, id)
    if (!fetched) throw this.#notFound(`the repository has no commit ${id}`)
    return fetched
  }

  /**
   * What others' credentials have brought into the mirror is given out only after the origin has let
   * these credentials, or none, read the repository.
   */
  async #admit(mirror: GitMirror): Promise<void> {
    if (mirror.admitted.has(this.#target.scope)) return
    const git = await this.#git(mirror.gitDir)
    await git.listRemote(['--', remoteName, 'HEAD'])
    mirror.admitted.set(this.#target.scope, true)
  }

  async #ensureRepository(mirror: GitMirror): Promise<void> {
    // The config file is among the last that git writes when it makes a repository.
    const isThere = await access(join(mirror.gitDir, 'config')).then(
      () => true,
      () => false,
    )
    if (isThere) return
    const git = await this.#git(this.#mirrors.directory)
    await git.raw([
      'init',
      '--bare',
      '--quiet',
      '--template=',
      `--object-format=${mirror.objectFormat}`,
      '--',
      mirror.gitDir,
    ])
  }

  /** The commit that the id means, if it and its tree are in the mirror. */
  async #lookUp(git: SimpleGit, id: string): Promise<string | undefined> {
    try {
      const verify = ['rev-parse', '--verify', '--quiet', '--end-of-options']
      const tree = await git.raw([...verify, `${id}^{tree}`])
      // A silent failure is no error to simple-git.
      if (tree.trim() === '') return undefined
      return (await git.raw([...verify, `${id}^{commit}`])).trim() || undefined
    } catch (error) {
      if (this.#signal.aborted || isCorruption(error)) throw error
      return undefined
    }
  }

  /** For servers that give nothing but what their refs point at: everything, with its history. */
  async #fetchAll(git: SimpleGit): Promise<void> {
    const refspecs = ['+refs/heads/*:refs/larder/heads/*', '+refs/tags/*:refs/larder/tags/*']
    try {
      await this.#fetch(git, ['--depth=2147483647'], refspecs)
    } catch (error) {
      if (!refusesIds(error)) throw error
      await this.#fetch(git, [], refspecs)
    }
  }

  async #fetch(
    git: SimpleGit,
    options: readonly string[],
    refspecs: readonly string[],
  ): Promise<void> {
    await git.raw([
      'fetch',
      '--quiet',
      '--no-tags',
      '--no-write-fetch-head',
      '--no-recurse-submodules',
      '--no-auto-maintenance',
      ...options,
      '--',
      remoteName,
      ...refspecs,
    ])
  }

  async #git(directory: string, gitDir?: string): Promise<SimpleGit> {
    return gitCommands({
      ...this.#commands,
      launcher: await this.#mirrors.launcher(),
      directory,
      gitDir,
      target: this.#target,
      signal: this.#signal,
    })
  }

  #notFound(reason: string): AssetError {
    const { display } = this.#target
    return new AssetError('NOT_FOUND', `git ${display}: ${reason}`, { uri: display })
  }
}
