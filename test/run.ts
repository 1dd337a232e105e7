/**
 * Runs the tests: `npm test [-- options] [words]`. Each file runs in a process of its own, two at
 * a time. A word picks the files whose path holds it. The last line is always the count, alone:
 * `N passed, N failed` or `N passed, N failed, N skipped`.
 *
 *   --no-skip             a skipped test is a failure (for CI, where every tool must be there)
 *   --timeout=SECONDS     limit for one file, default 180
 *   --concurrency=N       files at a time, default 2
 */

// Nothing may be imported statically: an older Node must get as far as this check.
const nodeMajorMin = 24
const nodeMajor = Number(process.versions.node.split('.', 1)[0])
if (nodeMajor < nodeMajorMin) {
  console.error(
    `The tests need Node ${nodeMajorMin} or later, this is ${process.versions.node}: run "npm test", which brings its own.`,
  )
  process.exit(1)
}

const { glob } = await import('node:fs/promises')
const { resolve } = await import('node:path')
const { Readable } = await import('node:stream')
const { run } = await import('node:test')
const { spec } = await import('node:test/reporters')
const { parseArgs } = await import('node:util')
const { newTally, tally } = await import('./tally.ts')

const { values: options, positionals: words } = parseArgs({
  allowPositionals: true,
  options: {
    'no-skip': { type: 'boolean', default: false },
    timeout: { type: 'string', default: '180' },
    concurrency: { type: 'string', default: '2' },
  },
})

const root = resolve(import.meta.dirname, '..')
const all = (await Array.fromAsync(glob('test/**/*.test.ts', { cwd: root }))).sort()
const wanted = words.map((word) => word.replace(/^\.\//, ''))
const files = all.filter(
  (file) => wanted.length === 0 || wanted.some((word) => file.includes(word)),
)

if (files.length === 0) {
  console.error(`No test file matches ${wanted.join(', ') || 'test/**/*.test.ts'}.`)
  console.log('0 passed, 0 failed')
  process.exit(1)
}

const result = newTally()
const queue = [...files]
await Promise.all(Array.from({ length: Number(options.concurrency) }, runQueue))

const failures = [...result.failures]
if (options['no-skip']) failures.push(...result.skips.map((skip) => `${skip} (no skips allowed)`))
if (result.skips.length > 0) console.log(`\nSkipped:\n${list(result.skips)}`)
if (failures.length > 0) console.log(`\nFailed:\n${list(failures)}`)
const skipped = result.skips.length > 0 ? `, ${result.skips.length} skipped` : ''
console.log(`\n${result.passed} passed, ${failures.length} failed${skipped}`)
// A test that left a handle open in this process must not keep the runner from ending.
process.exit(failures.length > 0 || result.passed === 0 ? 1 : 0)

function list(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join('\n')
}

async function runQueue(): Promise<void> {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) await runFile(file)
}

/** A run for each file, because the runner's own time limit covers tests but not their file. */
async function runFile(file: string): Promise<void> {
  const stream = run({
    files: [resolve(root, file)],
    cwd: root,
    isolation: 'process',
    signal: AbortSignal.timeout(Number(options.timeout) * 1000),
  })
  tally(stream, file, result)
  const events = async function* () {
    // The figures of a single file would only hide the line that counts.
    for await (const event of stream) if (event.type !== 'test:diagnostic') yield event
  }
  let text = ''
  for await (const chunk of Readable.from(events()).compose(spec())) text += chunk
  process.stdout.write(`${file}\n${text}`)
}
