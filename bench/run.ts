import { cpus } from 'node:os'
import { byteStream } from './cases/byte-stream.ts'
import { coldFetch } from './cases/cold-fetch.ts'
import { findMissing } from './cases/find-missing.ts'
import { hits } from './cases/hits.ts'
import { archive, git } from './cases/trees.ts'
import type { Measurement } from './measure.ts'

// npm run bench               all cases
// npm run bench -- hits git   only these
const cases: Readonly<Record<string, () => Promise<Measurement[]>>> = {
  hits,
  'byte-stream': byteStream,
  'find-missing': findMissing,
  'cold-fetch': coldFetch,
  archive,
  git,
}

/** Debian packages without which a case is left out. */
const needs: Readonly<Record<string, string>> = {
  hits: 'nghttp2-client',
  archive: 'linux-source-6.1',
  git: 'linux-source-6.1',
}

const asked = process.argv.slice(2)
const names = asked.length > 0 ? asked : Object.keys(cases)
const unknown = names.filter((name) => !(name in cases))
if (unknown.length > 0) {
  console.error(`No such case: ${unknown.join(', ')}. There are: ${Object.keys(cases).join(', ')}.`)
  process.exit(1)
}

console.log(`Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim()}\n`)
console.log('| what | Larder | instead | ratio | to aim at |')
console.log('| --- | --- | --- | --- | --- |')
for (const name of names) {
  const measurements = (await cases[name]?.()) ?? []
  if (measurements.length === 0) {
    console.log(`| ${name} | left out: ${needs[name]} is not installed | | | |`)
  }
  for (const measurement of measurements) console.log(row(measurement))
}

function row({ what, value, unit, other, target }: Measurement): string {
  const instead = other ? `${other.name}: ${figure(other.value)} ${unit}` : ''
  const ratio = other ? `${(value / other.value).toFixed(2)}x` : ''
  return `| ${what} | ${figure(value)} ${unit} | ${instead} | ${ratio} | ${target ?? ''} |`
}

function figure(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: value < 10 ? 2 : 0 })
}
