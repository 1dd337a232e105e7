import type { TestsStream } from 'node:test'

/** What a test run came to; filled while the stream of its events flows. */
export interface Tally {
  passed: number
  /** `file: name: first line of the error`, each. */
  readonly failures: string[]
  /** `file: name: reason`, each. */
  readonly skips: string[]
}

interface Report {
  readonly name: string
  readonly file?: string | undefined
  readonly skip?: string | boolean | undefined
  readonly todo?: string | boolean | undefined
  readonly details: { readonly type?: string | undefined }
}

export function newTally(): Tally {
  return { passed: 0, failures: [], skips: [] }
}

/** Counts tests, not suites; a suite counts only if it failed by itself, e.g. in a hook. */
export function tally(stream: TestsStream, file: string, result: Tally): void {
  const named = ({ name }: Report) => (name.endsWith(file) ? file : `${file}: ${name}`)
  const note = (report: Report): boolean => {
    const why = given(report.skip) ? report.skip : given(report.todo) ? report.todo : undefined
    if (why === undefined) return false
    result.skips.push(`${named(report)}: ${reason(why)}`)
    return true
  }
  stream.on('test:pass', (report) => {
    if (note(report) || report.details.type === 'suite') return
    // Node reports the file itself as one test that passed if it holds none, or left too early.
    if (report.name.endsWith(file)) result.failures.push(`${file}: the file ran no test`)
    else result.passed += 1
  })
  stream.on('test:fail', (report) => {
    const { error } = report.details
    // A parent that fails only because of its children would be counted twice.
    if ((error as { failureType?: string }).failureType === 'subtestsFailed') return
    if (!note(report)) result.failures.push(`${named(report)}: ${firstLine(error)}`)
  })
}

function given(mark: string | boolean | undefined): mark is string | true {
  return mark !== undefined && mark !== false
}

function reason(skip: string | boolean): string {
  return typeof skip === 'string' && skip !== '' ? skip : 'no reason given'
}

function firstLine(error: Error): string {
  const cause = error.cause
  const message = cause instanceof Error ? cause.message : error.message
  return message.split('\n', 1)[0] ?? ''
}
