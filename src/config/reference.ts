import { z } from 'zod'
import { configKeys } from './keys.ts'
import { configSchema } from './schema.ts'

/** Markdown of all keys: the text of docs/configuration.md. */
export function configReference(): string {
  const sections = new Map<string, string[]>()
  for (const key of configKeys) {
    const section = key.path.includes('.') ? key.path.slice(0, key.path.indexOf('.')) : 'General'
    const shown = key.defaultValue === undefined ? 'none' : `\`${inline(key.defaultValue)}\``
    const lines = sections.get(section) ?? []
    lines.push(
      `| \`${key.path}\` | \`${key.environmentName}\` | ${key.unit} | ${shown} | ${key.description} |`,
    )
    sections.set(section, lines)
  }
  const tables = [...sections].map(
    ([name, lines]) =>
      `## ${name}\n\n| key | environment | value | default | meaning |\n| --- | --- | --- | --- | --- |\n${lines.join('\n')}\n`,
  )
  return `${introduction}\n${tables.join('\n')}`
}

/** JSON Schema of the file, for editors. */
export function configJsonSchema(): object {
  return z.toJSONSchema(configSchema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      delete jsonSchema.textForm
      // All keys have defaults, so no section need be written.
      delete jsonSchema.required
    },
  })
}

function inline(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

const introduction = `# Configuration

Made from the schema by \`npm run larder -- check-config --reference\`; do not edit.

Values come from flags, then the environment, then the file that \`--config\` or \`LARDER_CONFIG\`
names, then the defaults. The file is YAML; a key \`cas.maxSize\` is \`maxSize\` below \`cas\`. Unknown
keys are errors. Sizes are written \`512MiB\` or \`10GiB\`, durations \`30s\`, \`10m\` or \`1h30m\`. In strings
of the file, \`\${VAR}\` and \`\${VAR:-default}\` stand for environment variables. Lists in the
environment are written \`a,b\`.
`
