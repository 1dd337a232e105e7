import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { z } from 'zod'
import { type Config, toConfig } from './config.ts'
import { ConfigError } from './config-error.ts'
import { readConfigFile, type SourcedValue } from './config-file.ts'
import { type ConfigKey, configKeys } from './keys.ts'
import type { ConfigValues } from './schema.ts'
import { valueFromText } from './value-from-text.ts'

export interface ConfigInputs {
  /** Values of flags by key, e.g. `grpc.listen`; `--name` of each for messages is made from it. */
  readonly flags: Readonly<Record<string, string | undefined>>
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Path of the YAML file; none is read if undefined. */
  readonly file: string | undefined
  readonly workingDirectory: string
}

export interface LoadedConfig {
  readonly config: Config
  /** Each key with its value as written and where it came from, in the order of the reference. */
  readonly entries: readonly { path: string; value: unknown; source: string }[]
  /** Sentences about what is odd, but no reason to stop. */
  readonly warnings: readonly string[]
}

/** Names of the environment that are read by the command line itself. */
const commandLineVariables = ['LARDER_CONFIG', 'LARDER_SERVER']

/**
 * Flags win over the environment, that over the file, and that over the defaults.
 * @throws ConfigError with all problems at once
 */
export async function loadConfig(inputs: ConfigInputs): Promise<LoadedConfig> {
  const { flags, environment, workingDirectory } = inputs
  const problems: string[] = []
  const file = await fileValues(inputs, problems)
  const values: Record<string, unknown> = {}
  const entries: { path: string; value: unknown; source: string }[] = []
  for (const key of configKeys) {
    const found = fromFlags(key, flags) ?? fromEnvironment(key, environment) ?? file.get(key.path)
    const parsed = key.schema.safeParse(found?.value)
    if (!parsed.success) problems.push(sentence(key, found, parsed.error))
    else place(values, key.path.split('.'), parsed.data)
    const value = found?.value ?? key.defaultValue
    entries.push({ path: key.path, value, source: found?.source ?? 'default' })
  }
  if (problems.length > 0) throw new ConfigError(problems)
  const config = toConfig(values as ConfigValues, workingDirectory)
  return { config, entries, warnings: unknownVariables(environment) }
}

async function fileValues(
  { file, workingDirectory, environment }: ConfigInputs,
  problems: string[],
): Promise<Map<string, SourcedValue>> {
  if (file === undefined) return new Map()
  try {
    const text = await readFile(resolve(workingDirectory, file), 'utf8')
    return readConfigFile(text, file, environment, problems)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    const reasons: Record<string, string> = {
      ENOENT: 'there is no such file',
      EISDIR: 'it is a directory',
    }
    const reason = reasons[code ?? ''] ?? (error as Error).message
    throw new ConfigError([`The configuration ${file} cannot be read: ${reason}.`])
  }
}

function fromFlags(key: ConfigKey, flags: ConfigInputs['flags']): SourcedValue | undefined {
  const text = flags[key.path]
  if (text === undefined) return undefined
  return { value: valueFromText(key, text), source: 'a flag' }
}

function fromEnvironment(
  key: ConfigKey,
  environment: ConfigInputs['environment'],
): SourcedValue | undefined {
  const text = environment[key.environmentName]
  // An empty variable is how compose files and shells say "not set".
  if (text === undefined || text === '') return undefined
  return { value: valueFromText(key, text), source: key.environmentName }
}

function sentence(key: ConfigKey, found: SourcedValue | undefined, error: z.ZodError): string {
  const issue = error.issues[0]
  const inner = issue?.path.length ? ` (at ${issue.path.join('.')})` : ''
  const message = (issue?.message ?? 'is not valid').replace(/^Invalid [a-z]+: /, '')
  // Zod's own words for these speak of its types, not of what one would write.
  const isOfZod = ['invalid_type', 'invalid_union', 'too_small'].includes(issue?.code ?? '')
  const wanted =
    isOfZod && !inner && !message.startsWith('expected a ') ? expectation(key) : message
  const shown = JSON.stringify(found?.value)
  return `${key.path} from ${found?.source ?? 'its default'} is ${shown}${inner}: ${wanted}.`
}

function expectation({ unit, textForm, defaultValue }: ConfigKey): string {
  const hasExample = textForm === 'text' && typeof defaultValue === 'string'
  return `expected ${unit}${hasExample ? `, such as ${defaultValue}` : ''}`
}

function place(values: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [name = '', ...rest] = path
  if (rest.length === 0) values[name] = value
  else {
    values[name] ??= {}
    place(values[name] as Record<string, unknown>, rest, value)
  }
}

/**
 * Unknown names only earn a warning: Kubernetes puts `LARDER_PORT` and more into the environment of
 * every pod if a Service is called "larder".
 */
function unknownVariables(environment: ConfigInputs['environment']): string[] {
  const known = new Set([...commandLineVariables, ...configKeys.map((key) => key.environmentName)])
  return Object.keys(environment)
    .filter((name) => name.startsWith('LARDER_') && !known.has(name))
    .map((name) => `The environment variable ${name} is no key of the configuration${hint(name)}`)
}

/** Where the words of a key are parted is what one gets wrong in an environment name. */
function hint(name: string): string {
  const letters = (text: string) => text.replaceAll('_', '')
  const meant = configKeys.find(({ environmentName }) => letters(environmentName) === letters(name))
  return meant ? `; did you mean ${meant.environmentName}?` : '.'
}
