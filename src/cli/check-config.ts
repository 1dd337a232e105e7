import { stringify } from 'yaml'
import { configJsonSchema, configReference } from '../config/reference.ts'
import { scrub } from '../telemetry/scrub.ts'
import { type ConfigFlags, loadConfigFrom } from './config-flags.ts'

interface CheckConfigFlags extends ConfigFlags {
  readonly print?: boolean
  readonly reference?: boolean
  readonly jsonSchema?: boolean
}

/** `larder check-config`. @throws ConfigError if anything is wrong with it */
export async function checkConfig(flags: CheckConfigFlags): Promise<void> {
  if (flags.reference) return void process.stdout.write(configReference())
  if (flags.jsonSchema) return console.log(JSON.stringify(configJsonSchema(), null, 2))
  const { entries, warnings } = await loadConfigFrom(flags)
  for (const warning of warnings) console.error(`larder: ${warning}`)
  if (!flags.print) return console.log('The configuration is valid.')
  for (const { path, value, source } of entries) {
    const shown = value === undefined ? '' : stringify(scrub(value), { collectionStyle: 'flow' })
    console.log(`${path}: ${shown.trim().replaceAll('\n', ' ')}  # ${source}`)
  }
}
