import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type RunResult, runProgram, skipWithout } from '../fixtures/run-program.ts'

export const skipBazel = skipWithout('bazel', 'bazel-bootstrap')

const exampleDir = resolve(import.meta.dirname, '..', '..', 'examples', 'bazel')

export interface BazelMachineOptions {
  /** Where Larder is. */
  readonly grpcUrl: string
  /** What takes the place of `http://127.0.0.1:8000` in the example; undefined to leave it. */
  readonly originUrl?: string
  /** Text of a WORKSPACE and a BUILD file that take the place of the example's. */
  readonly workspace?: string
  readonly build?: string
  /** Text of the .netrc in the home directory. */
  readonly netrc?: string
}

/**
 * A computer with Bazel that has never built anything: a home directory, an output base and a copy
 * of `examples/bazel` of its own, and no cache of downloads.
 */
export interface BazelMachine extends AsyncDisposable {
  readonly workspaceDir: string
  /** `bazel build` with the .bazelrc of the example. */
  build(...args: string[]): Promise<RunResult>
  /** Content of a built file, by its path below bazel-bin. */
  built(path: string): Promise<string>
  /** Directory of an external repository, whether or not it could be made. */
  externalDir(repository: string): string
  /** Replaces a file of the workspace. */
  write(path: string, text: string): Promise<void>
}

export async function bazelMachine(options: BazelMachineOptions): Promise<BazelMachine> {
  const root = await mkdtemp(join(tmpdir(), 'larder-bazel-'))
  const workspaceDir = join(root, 'workspace')
  const home = join(root, 'home')
  await mkdir(home)
  if (options.netrc !== undefined) {
    await writeFile(join(home, '.netrc'), options.netrc, { mode: 0o600 })
  }
  await prepareWorkspace(workspaceDir, options)
  const startup = [
    // Not `--nosystem_rc`: Debian tells there where Bazel's own parts are.
    '--nohome_rc',
    `--output_user_root=${join(root, 'outputs')}`,
    `--output_base=${join(root, 'base')}`,
    '--host_jvm_args=-Xmx512m',
    // A server that outlives a killed test run ends by itself.
    '--max_idle_secs=60',
  ]
  const env = { HOME: home, PATH: process.env.PATH ?? '', TMPDIR: tmpdir() }
  const bazel = (command: string, ...args: string[]) =>
    runProgram('bazel', [...startup, command, ...args], { cwd: workspaceDir, env })
  return {
    workspaceDir,
    build: (...args) => bazel('build', ...buildFlags, ...args),
    built: (path) => readFile(join(workspaceDir, 'bazel-bin', path), 'utf8'),
    externalDir: (repository) => join(root, 'base', 'external', repository),
    write: (path, text) => writeFile(join(workspaceDir, path), text),
    async [Symbol.asyncDispose]() {
      await bazel('shutdown')
      // Bazel takes the right to write from what it has built.
      await runProgram('chmod', ['-R', 'u+w', root], { cwd: root, env })
      await rm(root, { recursive: true, force: true })
    },
  }
}

const buildFlags = [
  '--repository_cache=',
  '--color=no',
  '--curses=no',
  '--noshow_progress',
  // Not every container lets Bazel make its sandbox.
  '--spawn_strategy=local',
]

async function prepareWorkspace(directory: string, options: BazelMachineOptions): Promise<void> {
  await cp(exampleDir, directory, { recursive: true, filter: (path) => !/\/bazel-/.test(path) })
  await replace(join(directory, '.bazelrc'), 'grpc://127.0.0.1:8981', options.grpcUrl)
  if (options.originUrl !== undefined) {
    await replace(join(directory, 'WORKSPACE'), 'http://127.0.0.1:8000', options.originUrl)
  }
  if (options.workspace !== undefined) {
    await writeFile(join(directory, 'WORKSPACE'), options.workspace)
  }
  if (options.build !== undefined) {
    await writeFile(join(directory, 'BUILD.bazel'), options.build)
  }
}

async function replace(file: string, from: string, to: string): Promise<void> {
  const before = await readFile(file, 'utf8')
  if (!before.includes(from)) throw new Error(`${file} does not name ${from}`)
  await writeFile(file, before.replaceAll(from, to))
}
