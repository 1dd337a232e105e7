import { quoteShort } from '../asset/digest.ts'
import { AssetError, invalidField } from '../asset/errors.ts'
import type { TreeSelection } from './importers.ts'
import type { TreeLimits } from './tree-limits.ts'

/**
 * The segments of an entry's path: `./a//b/` is `a`, `b`; the root has none.
 * @throws AssetError INVALID_ARGUMENT naming the entry if the path leads out of the tree or cannot be
 * in a Directory, RESOURCE_EXHAUSTED if it is longer or deeper than the limits.
 */
export function splitTreePath(path: string, limits: TreeLimits): string[] {
  const problem = pathProblem(path)
  if (problem) throw badEntry(path, problem)
  if (path.length > limits.pathBytesMax / 3 && Buffer.byteLength(path) > limits.pathBytesMax) {
    throw beyondLimit('pathBytesMax', limits.pathBytesMax, path)
  }
  const segments = segmentsOf(path)
  if (segments.length > limits.depthMax) throw beyondLimit('depthMax', limits.depthMax, path)
  for (const segment of segments) {
    // A UTF-16 unit is at most three bytes of UTF-8, so that short names need no counting.
    if (segment.length <= limits.nameBytesMax / 3) continue
    if (Buffer.byteLength(segment) > limits.nameBytesMax) {
      throw beyondLimit('nameBytesMax', limits.nameBytesMax, path)
    }
  }
  return segments
}

/** Segments from the tree's root to the directory that a selection asks for. */
export function selectedPath(selection: Pick<TreeSelection, 'directory' | 'stripPrefix'>): {
  readonly prefix: readonly string[]
  readonly directory: readonly string[]
} {
  return {
    prefix: selectedSegments('strip_prefix', selection.stripPrefix),
    directory: selectedSegments('directory', selection.directory),
  }
}

function selectedSegments(qualifier: string, path: string | undefined): string[] {
  const problem = path === undefined ? undefined : pathProblem(path)
  if (problem)
    throw invalidField('qualifiers.value', `${qualifier} ${quoteShort(path ?? '')} ${problem}`)
  return segmentsOf(path ?? '')
}

function pathProblem(path: string): string | undefined {
  if (path.includes('\0')) return 'holds a NUL character'
  if (path.startsWith('/')) return 'is an absolute path'
  if (path.includes('..') && path.split('/').includes('..')) return 'leads out of the tree by ".."'
  return undefined
}

function segmentsOf(path: string): string[] {
  const segments = path.split('/')
  // Most paths need no change, and filter would copy them all.
  if (!segments.some(isVoid)) return segments
  return segments.filter((segment) => !isVoid(segment))
}

function isVoid(segment: string): boolean {
  return segment === '' || segment === '.'
}

export function badEntry(path: string, problem: string): AssetError {
  return new AssetError('INVALID_ARGUMENT', `entry ${quoteShort(path)} ${problem}`)
}

/** The keys of the configuration, for the one who has to raise a limit. */
const limitKeys: Readonly<Record<keyof TreeLimits, string>> = {
  entriesMax: 'archive.maxEntries',
  unpackedBytesMax: 'archive.maxUnpackedSize',
  ratioMax: 'archive.maxRatio',
  depthMax: 'archive.maxDepth',
  nameBytesMax: 'archive.maxNameBytes',
  pathBytesMax: 'archive.maxPathBytes',
}

export function beyondLimit(limit: keyof TreeLimits, value: number, path?: string): AssetError {
  const at = path === undefined ? '' : ` at entry ${quoteShort(path)}`
  const text = `the tree exceeds ${limit} = ${value}${at} (${limitKeys[limit]})`
  return new AssetError('RESOURCE_EXHAUSTED', text)
}
