/**
 * Writes src/gen/reapi.js and its types from protos/. Does nothing if they are up to date, so that
 * `prepare` may run it every time.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const root = join(import.meta.dirname, '..')
const protosDir = join(root, 'protos')
const outputDir = join(root, 'src/gen')
const scriptFile = import.meta.filename

/**
 * protobufjs decodes 64-bit fields to Long, whatever `--force-number` says, and writes a BigInt as 0
 * without a word. The codecs speak plain numbers instead and refuse what a number cannot hold.
 */
const runtime = `
function $safe(value) {
    if (!Number.isSafeInteger(value))
        throw RangeError("64-bit value " + String(value) + " is beyond what is supported (2^53 - 1)");
    return value;
}
function $int64(reader) {
    const long = reader.int64();
    return typeof long === "number" ? $safe(long) : $safe(long.high * 4294967296 + (long.low >>> 0));
}
function $uint64(reader) {
    const long = reader.uint64();
    return typeof long === "number"
        ? $safe(long)
        : $safe((long.high >>> 0) * 4294967296 + (long.low >>> 0));
}
`

function withPlainNumbers(code: string): string {
  const numbers = code
    .replaceAll(/^\s*\/\*\*[\s\S]*?\*\/\n/gm, '')
    .replaceAll(/\breader\.(u?int64)\(\)/g, '$$$1(reader)')
    .replaceAll(/(\.u?int64)\((message\.[\w.[\]]+)\)/g, '$1($$safe($2))')
    .replaceAll(/\$util\.Long \? \$util\.Long\.fromBits\(0,0,(?:true|false)\) : 0/g, '0')
  const left = /\$util\.Long|reader\.\w*64\(\)|fixed64|sint64/.exec(numbers)
  const place = '\n// Exported root namespace'
  if (left !== null || !numbers.includes(place)) {
    throw new Error(
      `pbjs writes 64-bit fields in a new way: ${left?.[0] ?? 'no place for helpers'}`,
    )
  }
  return numbers.replace(place, () => `${runtime}${place}`)
}

function fingerprint(files: readonly string[]): string {
  const hash = createHash('sha256')
  const cli = createRequire(import.meta.url).resolve('protobufjs-cli/package.json')
  for (const file of [...files, scriptFile, cli]) hash.update(readFileSync(file))
  return hash.digest('hex')
}

function runPbjs(files: readonly string[], output: string): void {
  const pbjs = createRequire(import.meta.url).resolve('protobufjs-cli/bin/pbjs')
  const options = ['-t', 'static-module', '-w', 'esm', '--dts', '-p', protosDir, '--force-number']
  const without = ['verify', 'delimited', 'convert', 'service', 'typeurl'].map((x) => `--no-${x}`)
  execFileSync(process.execPath, [pbjs, ...options, ...without, '-o', output, ...files], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

const files = globSync('**/*.proto', { cwd: protosDir })
  .sort()
  .map((file) => join(protosDir, file))
const stamp = `// From protos/, state ${fingerprint(files)}\n`
const target = join(outputDir, 'reapi.js')
const types = join(outputDir, 'reapi.d.ts')

if (existsSync(types) && existsSync(target) && readFileSync(target, 'utf8').startsWith(stamp)) {
  console.log('codecs are up to date')
} else {
  mkdirSync(outputDir, { recursive: true })
  const scratch = mkdtempSync(join(outputDir, '.new-'))
  try {
    const output = join(scratch, 'reapi.js')
    runPbjs(files, output)
    writeFileSync(output, stamp + withPlainNumbers(readFileSync(output, 'utf8')))
    const declarations = readFileSync(join(scratch, 'reapi.d.ts'), 'utf8')
    writeFileSync(types, declarations.replace('import Long = require("long");\n', ''))
    renameSync(output, target)
    console.log(`codecs written to ${dirname(target)}`)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
