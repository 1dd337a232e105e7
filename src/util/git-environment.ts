/** What of the process environment reaches git: finding programs, proxies, certificates, ssh keys. */
const passedNames = [
  'PATH',
  'LD_LIBRARY_PATH',
  'TMPDIR',
  'SSH_AUTH_SOCK',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'http_proxy',
  'https_proxy',
  'HTTPS_PROXY',
  'no_proxy',
  'NO_PROXY',
  'all_proxy',
  'ALL_PROXY',
] as const

export interface GitEnvironmentOptions {
  /** Of this process. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Protocols that git may speak, by its own names: `https`, `ssh`, `file`, … */
  readonly protocols: readonly string[]
  /** Further configuration, pairs of key and value. It appears in no argument list. */
  readonly config?: readonly (readonly [key: string, value: string])[]
}

/**
 * A whole environment for git in which nothing of the host's or user's configuration counts, nothing
 * prompts, no hook or credential helper runs, and no protocol but the given ones is spoken.
 */
export function gitEnvironment(options: GitEnvironmentOptions): Record<string, string> {
  const environment: Record<string, string> = {
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    // No ~/.netrc, ~/.ssh/config or ~/.config: ssh takes the real home from the user database.
    HOME: '/nonexistent',
    XDG_CONFIG_HOME: '/nonexistent',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: 'true',
    SSH_ASKPASS: 'true',
    GIT_SSH_COMMAND: 'ssh -oBatchMode=yes -oConnectTimeout=30',
    GIT_LITERAL_PATHSPECS: '1',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    // Its messages are told apart by their English text.
    LC_ALL: 'C',
    LANGUAGE: 'C',
  }
  for (const name of passedNames) {
    const value = options.environment[name]
    if (value !== undefined) environment[name] = value
  }
  const config: (readonly [string, string])[] = [
    ['core.hooksPath', '/dev/null'],
    ['core.askPass', 'true'],
    ['credential.helper', ''],
    ['gc.auto', '0'],
    ['maintenance.auto', 'false'],
    ['fetch.recurseSubmodules', 'false'],
    ['submodule.recurse', 'false'],
    ['protocol.allow', 'never'],
    ...options.protocols.map((name) => [`protocol.${name}.allow`, 'always'] as const),
    // A redirect may only lead the first request elsewhere, as git's own default.
    ['http.followRedirects', 'initial'],
    // A connection that hangs ends by itself even if nobody is there to stop it.
    ['http.lowSpeedLimit', '1'],
    ['http.lowSpeedTime', '120'],
    ...(options.config ?? []),
  ]
  environment.GIT_CONFIG_COUNT = String(config.length)
  for (const [index, [key, value]] of config.entries()) {
    environment[`GIT_CONFIG_KEY_${index}`] = key
    environment[`GIT_CONFIG_VALUE_${index}`] = value
  }
  return environment
}
