import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Readable, type Writable } from 'node:stream'
import { AssetError } from '../asset/errors.ts'

export interface GitRepository {
  readonly gitDir: string
  readonly gitBinary: string
  readonly environment: Readonly<Record<string, string>>
}

export interface GitTreeEntry {
  /** Octal, as git prints it: 100644, 100755, 120000, 160000, 040000. */
  readonly mode: string
  readonly id: string
  readonly path: Buffer
}

/** Gets objects in the order asked. */
export interface GitObjectSink {
  begin(id: string, sizeBytes: number): void | Promise<void>
  data(bytes: Buffer): void | Promise<void>
  end(): void | Promise<void>
}

/** The entries of a commit's tree at and below a path, trees before what is in them. */
export async function* listTree(
  repository: GitRepository,
  commit: string,
  path: string,
): AsyncGenerator<GitTreeEntry> {
  const args = ['ls-tree', '-r', '-t', '-z', '--full-tree', commit]
  if (path !== '') args.push('--', `${path}/`)
  const git = startGit(repository, args, 'ignore')
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of git.stdout as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    for (let end = bytes.indexOf(0, at); end >= 0; end = bytes.indexOf(0, at)) {
      const tab = bytes.indexOf(9, at)
      const [mode = '', , id = ''] = bytes.toString('latin1', at, tab).split(' ')
      yield { mode, id, path: bytes.subarray(tab + 1, end) }
      at = end + 1
    }
    rest = bytes.subarray(at)
  }
  await git.succeeded
}

/** Reads objects by one process, in one pass. @throws AssetError DATA_LOSS if one is not there. */
export async function readObjects(
  repository: GitRepository,
  ids: readonly string[],
  sink: GitObjectSink,
): Promise<void> {
  if (ids.length === 0) return
  const git = startGit(repository, ['cat-file', '--batch', '--buffer'], 'pipe')
  const input = Readable.from(requestLines(ids))
  // If git ends early, its exit says why; the broken pipe does not.
  git.stdin?.on('error', () => input.destroy())
  input.pipe(git.stdin as Writable)
  const parser = new ObjectParser(sink)
  for await (const chunk of git.stdout as AsyncIterable<Buffer>) await parser.write(chunk)
  await git.succeeded
  if (parser.objects !== ids.length)
    throw damaged(`${ids.length - parser.objects} objects are gone`)
}

function* requestLines(ids: readonly string[]): Generator<string> {
  for (let at = 0; at < ids.length; at += 512) yield `${ids.slice(at, at + 512).join('\n')}\n`
}

/** `<id> <type> <size>\n<content>\n`, again and again. */
class ObjectParser {
  objects = 0
  readonly #sink: GitObjectSink
  #line: Buffer[] = []
  #contentBytes = 0
  #isInContent = false

  constructor(sink: GitObjectSink) {
    this.#sink = sink
  }

  async write(chunk: Buffer): Promise<void> {
    let at = 0
    while (at < chunk.length) {
      if (!this.#isInContent) {
        const end = chunk.indexOf(10, at)
        this.#line.push(chunk.subarray(at, end < 0 ? chunk.length : end))
        if (end < 0) return
        at = end + 1
        const wait = this.#header()
        if (wait) await wait
      } else if (this.#contentBytes > 0) {
        const part = chunk.subarray(at, at + this.#contentBytes)
        at += part.length
        this.#contentBytes -= part.length
        const wait = this.#sink.data(part)
        if (wait) await wait
      } else {
        // The line feed after the content.
        at++
        this.#isInContent = false
        this.objects++
        const wait = this.#sink.end()
        if (wait) await wait
      }
    }
  }

  #header(): void | Promise<void> {
    const line = Buffer.concat(this.#line).toString('latin1')
    this.#line = []
    const [id = '', type, size] = line.split(' ')
    if (size === undefined) throw damaged(`object ${id} is ${type}`)
    this.#contentBytes = Number(size)
    this.#isInContent = true
    return this.#sink.begin(id, this.#contentBytes)
  }
}

interface RunningGit {
  readonly stdin: Writable | null
  readonly stdout: Readable
  /** Rejects if git ends otherwise than well. */
  readonly succeeded: Promise<void>
}

function startGit(
  { gitDir, gitBinary, environment }: GitRepository,
  args: readonly string[],
  stdin: 'ignore' | 'pipe',
): RunningGit {
  const child = spawn(gitBinary, ['--git-dir', gitDir, ...args], {
    env: { ...environment },
    stdio: [stdin, 'pipe', 'pipe'],
  }) as ChildProcessByStdio<Writable | null, Readable, Readable>
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (complaint.length < 1000) complaint += text
  })
  const succeeded = once(child, 'close').then(([code]) => {
    if (code !== 0) throw damaged(complaint.trim().slice(0, 500) || `git ended with ${code}`)
  }, missingGit)
  // Whoever reads the output sees a failure only after it; until then it is not unhandled.
  succeeded.catch(() => undefined)
  return { stdin: child.stdin, stdout: child.stdout, succeeded }
}

function missingGit(error: unknown): never {
  const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
  const reason = isMissing ? 'git is not installed or not on the PATH' : 'git cannot be started'
  throw new AssetError('FAILED_PRECONDITION', `repositories cannot be read: ${reason}`, {
    cause: error,
  })
}

export function damaged(problem: string): AssetError {
  return new AssetError('DATA_LOSS', `the local copy of the repository cannot be read: ${problem}`)
}
