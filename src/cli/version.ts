import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The version of the package; it lies two directories up both from src/cli and from dist/cli. */
export function packageVersion(): string {
  const text = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
