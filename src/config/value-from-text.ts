import { parse } from 'yaml'
import type { ConfigKey } from './keys.ts'

/**
 * A value out of the environment, a flag or a `${VAR}`: there all is text. Lists are written
 * `a,b` or as in YAML, `[a, b]`.
 */
export function valueFromText(key: ConfigKey, text: string): unknown {
  if (key.textForm === 'text') return text
  if (key.textForm === 'list' && !text.trimStart().startsWith('[')) {
    return text.split(',').map((item) => item.trim())
  }
  try {
    return parse(text)
  } catch {
    // What is not YAML fails as text against the key's schema, with a message that names the key.
    return text
  }
}
