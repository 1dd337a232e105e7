import assert from 'node:assert/strict'
import type { RunResult } from '../fixtures/run-program.ts'

export interface HttpFile {
  readonly urls: readonly string[]
  readonly sha256?: string
}

/**
 * A workspace with an `http_file` for each name, and a target of that name that copies the download
 * to `<name>.out`.
 */
export function httpFiles(files: Readonly<Record<string, HttpFile>>) {
  const rules = ['load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_file")']
  const targets: string[] = []
  for (const [name, { urls, sha256 }] of Object.entries(files)) {
    const checksum = sha256 === undefined ? '' : `, sha256 = "${sha256}"`
    rules.push(`http_file(name = "${name}_file", urls = ${JSON.stringify(urls)}${checksum})`)
    targets.push(
      `genrule(name = "${name}", srcs = ["@${name}_file//file"], outs = ["${name}.out"], ` +
        'cmd = "cp $< $@")',
    )
  }
  return { workspace: `${rules.join('\n')}\n`, build: `${targets.join('\n')}\n` }
}

export function succeeded(result: RunResult): void {
  assert.equal(result.code, 0, result.transcript)
}

/** That the build failed, and told all of this. */
export function failedWith(result: RunResult, ...reasons: readonly RegExp[]): void {
  assert.notEqual(result.code, 0, result.transcript)
  for (const reason of reasons) assert.match(result.output, reason, result.transcript)
}
