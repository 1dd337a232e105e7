import assert from 'node:assert/strict'
import { glob, readFile } from 'node:fs/promises'
import { join, posix, resolve } from 'node:path'
import { describe, test } from 'node:test'

/** The row of rooms: a room imports from groups to its right, and types from its own group. */
const row = [
  ['main'],
  ['cli'],
  ['compose'],
  ['services', 'admin'],
  ['resolve', 'mirror', 'auth'],
  ['fetchers', 'importers'],
  ['credentials', 'cas', 'asset-index'],
  ['config', 'telemetry'],
  ['util'],
  ['asset'],
]
/** Rooms outside the row: who may import them, and what they may import. */
const wire = {
  users: ['cli', 'compose', 'services', 'cas'],
  uses: ['asset', 'config', 'telemetry', 'util', 'gen'],
}
const genUsers = ['wire', 'services', 'cas', 'importers', 'resolve', 'cli']
/** The rooms that handle configuration itself; all others see only its types. */
const configUsers = ['main', 'cli', 'compose']

interface ImportLine {
  readonly from: string
  readonly target: string
  readonly typeOnly: boolean
}

function importLines(file: string, source: string): ImportLine[] {
  const pattern =
    /^\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm
  return [...source.matchAll(pattern)].map((match) => {
    const names = /\{([^}]*)\}/.exec(match[0])?.[1]
    const allTypes = names?.split(',').every((name) => /^\s*(type\s.*)?$/.test(name)) ?? false
    const target = match[2] ?? match[3] ?? ''
    return { from: file, target, typeOnly: match[1] !== undefined || allTypes }
  })
}

/** What is wrong with an import, as a sentence; undefined if nothing is. */
function violation({ from, target, typeOnly }: ImportLine): string | undefined {
  const room = roomOf(from)
  if (!target.startsWith('.')) {
    if (room !== 'asset' || target.startsWith('node:')) return undefined
    return `${from} imports ${target}: asset/ knows no package, only node: modules`
  }
  const path = posix.normalize(posix.join(posix.dirname(from), target))
  if (path.startsWith('..')) return `${from} imports ${target}, which is outside src/`
  const other = roomOf(path)
  if (room === other) return undefined
  const wrong = `${from} imports ${path}: ${room} may not use ${other}`
  if (room === 'gen') return `${wrong}; gen is a leaf`
  if (other === 'gen') return genUsers.includes(room) ? undefined : wrong
  if (other === 'config' && !configUsers.includes(room)) {
    return typeOnly ? undefined : `${wrong} but by "import type"`
  }
  if (room === 'wire') return wire.uses.includes(other) ? undefined : wrong
  if (other === 'wire') return wire.users.includes(room) ? undefined : wrong
  const [place, otherPlace] = [placeInRow(room), placeInRow(other)]
  if (place < 0) return `${from}: the room ${room} has no place in the row of rooms`
  if (otherPlace < 0) return `${path}: the room ${other} has no place in the row of rooms`
  if (otherPlace > place || (otherPlace === place && typeOnly)) return undefined
  return wrong
}

function roomOf(file: string): string {
  return file.split('/', 1)[0]?.replace(/\.ts$/, '') ?? ''
}

function placeInRow(room: string): number {
  return row.findIndex((group) => group.includes(room))
}

describe('imports point one way', () => {
  test('in every file of src/', async () => {
    const src = resolve(import.meta.dirname, '../src')
    const files = await Array.fromAsync(glob('**/*.ts', { cwd: src }))
    assert.ok(files.length > 10, 'the sources were found')
    const wrong: string[] = []
    let lines = 0
    for (const file of files.filter((file) => !file.startsWith('gen/'))) {
      for (const line of importLines(file, await readFile(join(src, file), 'utf8'))) {
        lines += 1
        const sentence = violation(line)
        if (sentence) wrong.push(sentence)
      }
    }
    assert.ok(lines > files.length / 2, 'the import lines were found')
    assert.equal(wrong.join('\n'), '')
  })

  const planted: readonly [file: string, source: string, wrong: boolean][] = [
    ['cas/local/x.ts', "import { y } from '../../resolve/y.ts'", true],
    ['cas/local/x.ts', "import {\n  a,\n  b,\n} from '../../services/y.ts'", true],
    ['cas/x.ts', "import { y } from '../asset-index/y.ts'", true],
    ['cas/x.ts', "import type { Y } from '../asset-index/y.ts'", false],
    ['cas/x.ts', "import { loadConfig } from '../config/load.ts'", true],
    ['cas/x.ts', "import type { Config } from '../config/schema.ts'", false],
    ['cas/x.ts', "import { type Config } from '../config/schema.ts'", false],
    ['asset/x.ts', "import { y } from '../util/y.ts'", true],
    ['asset/x.ts', "import { z } from 'zod'", true],
    ['asset/x.ts', "import { hash } from 'node:crypto'", false],
    ['util/x.ts', "export { y } from '../cas/y.ts'", true],
    ['util/x.ts', "import '../wire/y.ts'", true],
    ['util/x.ts', "const y = await import('../main.ts')", true],
    ['fetchers/x.ts', "import { y } from '../gen/reapi.js'", true],
    ['wire/x.ts', "import { y } from '../gen/reapi.js'", false],
    ['services/x.ts', "import { y } from '../wire/y.ts'", false],
    ['resolve/x.ts', "import { y } from '../wire/y.ts'", true],
    ['attic/x.ts', "import { y } from '../cas/y.ts'", true],
    ['cli/x.ts', "import { y } from '../compose.ts'", false],
    ['compose.ts', "import { y } from './cli/y.ts'", true],
  ]
  for (const [file, source, wrong] of planted) {
    const title = `${file} with ${source.replaceAll('\n', ' ')} is ${wrong ? 'refused' : 'accepted'}`
    test(title, () => {
      const lines = importLines(file, source)
      assert.equal(lines.length, 1)
      assert.equal(
        lines.some((line) => violation(line) !== undefined),
        wrong,
      )
    })
  }
})
