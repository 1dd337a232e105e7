import { dirname } from 'node:path'
import { type SimpleGit, simpleGit } from 'simple-git'
import { gitEnvironment } from '../../util/git-environment.ts'
import type { GitTarget } from './git-target.ts'

export interface GitCommandsOptions {
  readonly gitBinary: string
  /** Of this process; only what git needs is taken from it. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

export interface GitCommandsContext extends GitCommandsOptions {
  /** Path of the shell script that starts git; see git-launcher. */
  readonly launcher: string
  /** Where git runs. */
  readonly directory: string
  /** The repository; undefined for commands that need none. */
  readonly gitDir: string | undefined
  readonly target: GitTarget
  readonly signal: AbortSignal
}

/** The remote's name in all commands. Its URL is configuration: it never stands among arguments. */
export const remoteName = 'origin'

/**
 * git with the target as its one remote. Headers are configuration in its
 * environment, for that origin alone: neither arguments nor files show them.
 */
export function gitCommands(context: GitCommandsContext): SimpleGit {
  const { directory, gitDir, target } = context
  const environment = gitEnvironment({
    environment: context.environment,
    protocols: [target.protocol],
    config: [[`remote.${remoteName}.url`, target.remoteUrl], ...headerConfig(target)],
  })
  // Otherwise a damaged mirror would make git look for a repository in the directories above it.
  environment.GIT_CEILING_DIRECTORIES = dirname(directory)
  environment.LARDER_GIT = context.gitBinary
  if (gitDir !== undefined) environment.GIT_DIR = gitDir
  return simpleGit({
    baseDir: directory,
    binary: ['sh', context.launcher],
    abort: context.signal,
    allowEnvironment: Object.keys(environment),
    // What is allowed here is what `gitEnvironment` sets; arguments are ours alone.
    unsafe: {
      allowUnsafeAskPass: true,
      allowUnsafeConfigEnvCount: true,
      allowUnsafeConfigPaths: true,
      allowUnsafeCredentialHelper: true,
      allowUnsafeHooksPath: true,
      allowUnsafeProtocolOverride: true,
      allowUnsafeSshCommand: true,
      allowUnsafeTemplateDir: true,
      allowUnsafeCustomBinary: true,
    },
  }).env(environment)
}

function headerConfig({ remoteUrl, protocol, headers }: GitTarget): [string, string][] {
  if (headers.size === 0 || (protocol !== 'http' && protocol !== 'https')) return []
  const key = `http.${new URL(remoteUrl).origin}/.extraHeader`
  const config: [string, string][] = []
  for (const [name, values] of headers) {
    for (const value of values) config.push([key, `${name}: ${value.reveal()}`])
  }
  // git would send the headers on to wherever it is redirected.
  config.push(['http.followRedirects', 'false'])
  return config
}
