import { AssetError } from '../asset/errors.ts'
import { ConfigError } from '../config/config-error.ts'
import { systemReason } from './system-error.ts'

/** A failure that the person at the terminal can act on; the message is all that is shown. */
export class CliError extends Error {
  override readonly name = 'CliError'
}

/** What to print for a failure: a sentence, or several for a configuration; never a stack. */
export function failureText(error: unknown): string {
  if (error instanceof ConfigError) return error.problems.join('\n')
  if (error instanceof CliError) return error.message
  if (error instanceof AssetError) return `${error.code}: ${oneLine(error.message)}`
  const reason = systemReason(error)
  if (reason !== undefined) {
    const { path, syscall } = error as NodeJS.ErrnoException
    return `${path ?? syscall ?? 'The system'}: ${reason}.`
  }
  return oneLine(error instanceof Error ? error.message : String(error))
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ')
}
