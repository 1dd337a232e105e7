import { isAlias, isMap, isScalar, LineCounter, type Node, type Pair, parseDocument } from 'yaml'
import { type ConfigKey, configKeys, nearestKey } from './keys.ts'
import { valueFromText } from './value-from-text.ts'

/** A value as it was written, and where: for messages. */
export interface SourcedValue {
  readonly value: unknown
  readonly source: string
}

/**
 * The keys of a YAML file. Problems are added as sentences that name file, line and key.
 * `environment` is for `${VAR}` and `${VAR:-default}` in strings; `$${` stands for `${`.
 */
export function readConfigFile(
  text: string,
  fileName: string,
  environment: Readonly<Record<string, string | undefined>>,
  problems: string[],
): Map<string, SourcedValue> {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const values = new Map<string, SourcedValue>()
  const at = (offset: number | undefined) => `${fileName}:${lines.linePos(offset ?? 0).line}`
  for (const error of document.errors) {
    const isSecond = error.code === 'MULTIPLE_DOCS'
    const reason = isSecond ? 'Only one YAML document is read' : error.message.split('\n', 1)[0]
    problems.push(`${at(error.pos[0])}: ${reason?.replace(/\.$/, '')}.`)
  }
  if (document.errors.length > 0 || document.contents === null) return values

  const visit = (pair: Pair, path: readonly string[]) => {
    const keyNode = pair.key as Node
    const here = [...path, isScalar(keyNode) ? String(keyNode.value) : '?'].join('.')
    const source = at(keyNode.range?.[0])
    const known = configKeys.find((key) => key.path === here)
    if (known) values.set(here, { value: readValue(known, pair.value as Node, source), source })
    else if (configKeys.some((key) => key.path.startsWith(`${here}.`))) {
      visitSection(pair.value as Node | null, here, source)
    } else {
      const nearest = nearestKey(here)
      const hint = nearest ? ` Did you mean ${nearest}?` : ''
      problems.push(`${source}: there is no key ${here}.${hint}`)
    }
  }
  const visitSection = (node: Node | null, here: string, source: string) => {
    if (isMap(node)) for (const pair of node.items) visit(pair as Pair, here ? here.split('.') : [])
    else if (node !== null && !(isScalar(node) && node.value === null)) {
      problems.push(`${source}: ${here || 'the file'} must be a section of keys.`)
    }
  }
  const readValue = (known: ConfigKey, node: Node | null, source: string): unknown => {
    const wanted = isAlias(node) ? node.resolve(document) : node
    const value: unknown = wanted?.toJS(document) ?? undefined
    if (typeof value !== 'string' || !value.includes('${')) return expandAll(value, known, source)
    const before = problems.length
    const expanded = expand(value, known, source)
    // The missing variable is the problem; complaining about the value as well would only distract.
    return problems.length > before ? undefined : valueFromText(known, expanded)
  }
  const expandAll = (value: unknown, known: ConfigKey, source: string): unknown => {
    if (typeof value === 'string') return expand(value, known, source)
    if (Array.isArray(value)) return value.map((inner) => expandAll(inner, known, source))
    if (typeof value !== 'object' || value === null) return value
    const entries = Object.entries(value)
    return Object.fromEntries(entries.map(([k, v]) => [k, expandAll(v, known, source)]))
  }
  const expand = (value: string, known: ConfigKey, source: string): string =>
    value.replace(
      /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
      (found, name?: string, fallback?: string) => {
        if (name === undefined) return '${'
        const set = environment[name] || fallback
        if (set !== undefined) return set
        problems.push(`${source}: ${known.path} uses ${found}, which is not set.`)
        return ''
      },
    )
  visitSection(document.contents, '', at(0))
  return values
}
