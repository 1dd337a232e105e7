import { Writable } from 'node:stream'
import { type Logger, pino } from 'pino'
import { PinoPretty } from 'pino-pretty'
import type { Config } from '../config/config.ts'
import { scrub, serializeError } from './scrub.ts'

export type LogFields = Readonly<Record<string, unknown>>

/**
 * What all rooms log with. A thrown value goes under `error`; a URI goes through `displayUri`
 * first. Secrets, known header names and passwords in URLs are cut out even if one forgets.
 */
export interface Log {
  /** False if `debug` writes nothing: lets a hot path skip gathering its fields. */
  readonly isDebug: boolean
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A log that adds these fields to each line. */
  child(fields: LogFields): Log
}

export interface LogOptions extends Readonly<Config['log']> {
  /** Default: if the destination is a terminal. */
  readonly useColor?: boolean | undefined
  /** Default: standard output. */
  readonly destination?: NodeJS.WritableStream & { readonly isTTY?: boolean }
}

export function createLog(options: LogOptions): Log {
  const { level, format, destination = process.stdout, useColor } = options
  const isPretty = format === 'pretty' || (format === 'auto' && destination.isTTY === true)
  const withStack = level === 'debug'
  const target = isPretty
    ? PinoPretty({
        destination: passThrough(destination),
        colorize: useColor ?? destination.isTTY === true,
        ignore: 'pid,hostname',
        translateTime: 'SYS:HH:MM:ss.l',
        singleLine: true,
      })
    : destination
  const logger = pino(
    {
      level,
      base: {},
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
    },
    target as NodeJS.WritableStream & { write(text: string): unknown },
  )
  return wrap(logger, withStack)
}

/** A log that goes nowhere. */
export const silentLog: Log = Object.freeze({
  isDebug: false,
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
})

function wrap(logger: Logger, withStack: boolean): Log {
  const clean = (fields: LogFields): LogFields => {
    const { error, ...others } = fields
    const scrubbed = scrub(others) as Record<string, unknown>
    if (error !== undefined) scrubbed.error = serializeError(error, withStack)
    return scrubbed
  }
  const write =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}): void => {
      if (logger.isLevelEnabled(level)) logger[level](clean(fields), scrub(message) as string)
    }
  return {
    isDebug: logger.isLevelEnabled('debug'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => wrap(logger.child(clean(fields)), withStack),
  }
}

/** pino-pretty ends its destination with itself, and standard output must stay open. */
function passThrough(destination: NodeJS.WritableStream): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      destination.write(chunk)
      done()
    },
  })
}
