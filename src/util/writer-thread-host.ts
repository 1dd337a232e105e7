import { parentPort, workerData } from 'node:worker_threads'
import type Database from 'better-sqlite3'
import {
  type ErrorMessage,
  errorMessage,
  type WriterCalls,
  type WriterReply,
  type WriterReport,
  type WriterRequest,
} from './writer-messages.ts'

// A group ends after this time, so that its first caller does not wait for an endless queue.
const groupMsMax = 50

export interface WriterHost<Calls extends WriterCalls<Calls>, Notice = undefined> {
  readonly database: Database.Database
  /** Each runs inside the group's transaction; one that throws is undone alone. */
  readonly handlers: Calls
  /**
   * Called when a group has been committed or rolled back, before its callers hear of it.
   * `isClean` is false if any call of the group, or the commit, has failed.
   */
  readonly afterGroup?: (isClean: boolean) => void
  /** Sent to the main thread after every group. */
  readonly notice?: () => Notice
  /** Called before the database is closed. */
  readonly close?: () => void
}

type Handler = (input: unknown) => unknown
type Call = Extract<WriterRequest, { kind: 'call' }>

/**
 * Makes the current worker thread the writer of a database: `open` receives the data given to
 * `WriterThread.start`. Everything that arrived while a transaction ran goes into the next one.
 */
export function serveWriter<Data, Calls extends WriterCalls<Calls>, Notice = undefined>(
  open: (data: Data) => WriterHost<Calls, Notice>,
): void {
  const port = parentPort
  if (!port) throw new Error('a writer host runs in a worker thread only')
  const report = (message: WriterReport) => port.postMessage(message)
  let host: WriterHost<Calls, Notice>
  try {
    host = open(workerData as Data)
  } catch (error) {
    report({ kind: 'failed', error: errorMessage(error) })
    port.close()
    return
  }
  const groups = new GroupCommit(host)
  const queue: Call[] = []
  let isScheduled = false
  let isStopping = false

  const run = () => {
    isScheduled = false
    if (queue.length > 0) {
      const replies = groups.run(queue)
      report({ kind: 'group', replies, notice: host.notice?.() })
    }
    if (queue.length > 0) schedule()
    else if (isStopping) stop()
  }
  const schedule = () => {
    if (!isScheduled) setImmediate(run)
    isScheduled = true
  }
  const stop = () => {
    host.close?.()
    host.database.close()
    port.close()
  }
  port.on('message', (request: WriterRequest) => {
    if (request.kind === 'call') queue.push(request)
    else isStopping = true
    schedule()
  })
  report({ kind: 'ready', notice: host.notice?.() })
}

class GroupCommit<Calls extends WriterCalls<Calls>, Notice> {
  readonly #host: WriterHost<Calls, Notice>
  readonly #handlers: Readonly<Record<string, Handler | undefined>>
  readonly #statements: Readonly<
    Record<'begin' | 'commit' | 'save' | 'undo' | 'release', () => void>
  >

  constructor(host: WriterHost<Calls, Notice>) {
    this.#host = host
    // The names and inputs were checked against `Calls` where the calls are made.
    this.#handlers = host.handlers as unknown as Record<string, Handler | undefined>
    const statement = (sql: string) => {
      const prepared = host.database.prepare(sql)
      return () => void prepared.run()
    }
    this.#statements = {
      begin: statement('BEGIN IMMEDIATE'),
      commit: statement('COMMIT'),
      save: statement('SAVEPOINT one_call'),
      undo: statement('ROLLBACK TO one_call'),
      release: statement('RELEASE one_call'),
    }
  }

  /** Takes calls off the queue, runs and commits them, and returns what each caller gets. */
  run(queue: Call[]): WriterReply[] {
    const endMs = performance.now() + groupMsMax
    const replies: WriterReply[] = []
    let failure: ErrorMessage | undefined
    let taken = 0
    try {
      this.#statements.begin()
      do {
        const call = queue[taken++]
        if (call) replies.push(this.#runOne(call))
      } while (taken < queue.length && performance.now() < endMs)
      this.#statements.commit()
    } catch (error) {
      failure = errorMessage(error)
      if (this.#host.database.inTransaction) this.#host.database.exec('ROLLBACK')
    }
    const calls = queue.splice(0, Math.max(taken, 1))
    const isClean = failure === undefined && replies.every((reply) => reply.error === undefined)
    this.#host.afterGroup?.(isClean)
    if (failure === undefined) return replies
    const error = failure
    return calls.map(({ id }) => ({ id, error }))
  }

  #runOne(call: Call): WriterReply {
    const handler = this.#handlers[call.name]
    if (!handler) return { id: call.id, error: errorMessage(new Error(`no call ${call.name}`)) }
    this.#statements.save()
    try {
      const output = handler.call(this.#host.handlers, call.input)
      this.#statements.release()
      return { id: call.id, output }
    } catch (error) {
      // A full disk makes SQLite roll the whole transaction back; then all of the group has failed.
      if (!this.#host.database.inTransaction) throw error
      this.#statements.undo()
      this.#statements.release()
      return { id: call.id, error: errorMessage(error) }
    }
  }
}
