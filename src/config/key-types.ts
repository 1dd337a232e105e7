import { z } from 'zod'
import { parseDuration } from './durations.ts'
import { type ListenAddress, parseListenAddress } from './listen-address.ts'
import { parseSize } from './sizes.ts'

/** What the reference says about a key beside its type. */
export interface KeyMeta {
  readonly description: string
  /** E.g. "size", "duration", "fetches": how the value is written, or what it counts. */
  readonly unit: string
  /** How a text from the environment or a flag becomes a value. */
  readonly textForm: 'text' | 'scalar' | 'list'
}

type Described<T extends z.ZodType> = { schema: T; unit: string; textForm: KeyMeta['textForm'] }

/** A key with its default as one would write it in the file. */
export function key<T extends z.ZodType>(
  { schema, unit, textForm }: Described<T>,
  defaultValue: z.input<T>,
  description: string,
) {
  // The default runs through the schema, so a wrong one fails the first test that loads anything.
  const withDefault = schema.prefault(defaultValue as never)
  return withDefault.meta({ description, unit, textForm } satisfies KeyMeta)
}

/** A key that may be left out and then has no value. */
export function optionalKey<T extends z.ZodType>(described: Described<T>, description: string) {
  const { schema, unit, textForm } = described
  return schema.optional().meta({ description, unit, textForm } satisfies KeyMeta)
}

export const text = { schema: z.string().min(1), unit: 'text', textForm: 'text' } as const
export const textList = { schema: z.array(z.string()), unit: 'list', textForm: 'list' } as const
export const truth = { schema: z.boolean(), unit: 'true or false', textForm: 'scalar' } as const

/** The bytes of a size; a plain number counts bytes. */
export const size = {
  schema: z.union([z.string(), z.number()]).transform((value, context) => {
    return parsedOr(context, () => {
      const bytes = parseSize(String(value))
      if (bytes === 0) throw new RangeError('must be more than 0 bytes')
      return bytes
    })
  }),
  unit: 'size',
  textForm: 'text',
} as const

export const duration = {
  schema: z
    .union([z.string(), z.literal(0)])
    .transform((value, context) => parsedOr(context, () => parseDuration(String(value)))),
  unit: 'duration',
  textForm: 'text',
} as const

/** A duration in which something must be done: none at all would fail each time. */
export const timeout = {
  ...duration,
  schema: duration.schema.refine((ms) => ms > 0, { error: 'must be more than 0' }),
} as const

export const listenAddress = {
  schema: z
    .string()
    .transform((value, context) =>
      parsedOr<ListenAddress>(context, () => parseListenAddress(value)),
    ),
  unit: 'host:port or unix:/path',
  textForm: 'text',
} as const

export const listenAddressOrNone = {
  schema: z.string().transform((value, context) => {
    return value === 'none'
      ? undefined
      : parsedOr<ListenAddress>(context, () => parseListenAddress(value))
  }),
  unit: 'host:port, unix:/path or none',
  textForm: 'text',
} as const

export function count(what: string, min = 1) {
  const wanted = { error: `expected a whole number of at least ${min}` }
  return { schema: z.int(wanted).min(min, wanted), unit: what, textForm: 'scalar' } as const
}

export function oneOf<const T extends readonly [string, ...string[]]>(...values: T) {
  return { schema: z.enum(values), unit: values.join(', '), textForm: 'text' } as const
}

function parsedOr<T>(context: z.RefinementCtx, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message })
    return z.NEVER
  }
}
