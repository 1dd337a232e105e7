import { statusPage } from './status-page.ts'

/** The state of one part: a sentence if it is not well. */
export type Check = () => Promise<string | undefined>

/** What /status shows. Never secrets: the caller decides what goes in. */
export interface Status {
  readonly version: string
  readonly uptimeSeconds: number
  readonly mode: string
  /** Address of the gRPC server, as clients reach it. */
  readonly grpcAddress: string
  readonly httpAddress: string | undefined
  readonly [more: string]: unknown
}

export interface HttpRoutesOptions {
  /** All must answer well for the server to be ready, e.g. `{ index, cas }`. */
  readonly checks: Readonly<Record<string, Check>>
  readonly isStarted: () => boolean
  readonly isDraining: () => boolean
  readonly status: () => Promise<Status> | Status
  readonly metrics: { readonly contentType: string; readonly text: () => Promise<string> }
}

export interface Answer {
  readonly status: number
  readonly text: string
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A check that hangs is as bad as one that fails; orchestrators give up after a few seconds. */
const checkTimeoutMs = 2000

const routes: Readonly<Record<string, (options: HttpRoutesOptions) => Promise<Answer>>> = {
  '/': async ({ status }) => html(statusPage(await status())),
  '/status': async ({ status }) => json(200, await status()),
  '/metrics': async ({ metrics }) => ({
    status: 200,
    text: await metrics.text(),
    contentType: metrics.contentType,
  }),
  '/livez': live,
  '/-/healthy': live,
  '/readyz': ready,
  '/healthz': ready,
  '/startupz': async ({ isStarted }) =>
    isStarted() ? text(200, 'started\n') : text(503, 'starting\n'),
}

/** The answer to a request. Rejects only if a dependency of `/`, `/status` or `/metrics` does. */
export async function route(
  method: string,
  path: string,
  options: HttpRoutesOptions,
): Promise<Answer> {
  const answer = Object.hasOwn(routes, path) ? routes[path] : undefined
  if (answer === undefined) {
    return text(404, `There is nothing here; see / for what is. (${known()})\n`)
  }
  if (method !== 'GET' && method !== 'HEAD') {
    const refused = text(405, 'This page is read with GET; nothing can be changed over HTTP.\n')
    return { ...refused, headers: { allow: 'GET, HEAD' } }
  }
  return answer(options)
}

/** True for as long as the process answers at all: a restart helps nothing else. */
async function live(): Promise<Answer> {
  return text(200, 'alive\n')
}

async function ready({ checks, isStarted, isDraining }: HttpRoutesOptions): Promise<Answer> {
  const results: Record<string, string> = {
    started: isStarted() ? 'ok' : 'the server is starting',
    draining: isDraining() ? 'the server is going away' : 'ok',
  }
  await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      results[name] = await outcome(check)
    }),
  )
  const isReady = Object.values(results).every((result) => result === 'ok')
  return json(isReady ? 200 : 503, { ready: isReady, checks: results })
}

async function outcome(check: Check): Promise<string> {
  const { promise: late, resolve } = Promise.withResolvers<string>()
  const timer = setTimeout(() => resolve(`no answer within ${checkTimeoutMs} ms`), checkTimeoutMs)
  try {
    return (await Promise.race([check(), late])) ?? 'ok'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    clearTimeout(timer)
  }
}

function known(): string {
  return Object.keys(routes).join(' ')
}

function text(status: number, body: string): Answer {
  return { status, text: body }
}

function json(status: number, body: unknown): Answer {
  return { status, text: `${JSON.stringify(body, null, 2)}\n`, contentType: 'application/json' }
}

function html(body: string): Answer {
  return {
    status: 200,
    text: body,
    contentType: 'text/html; charset=utf-8',
    headers: { 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'" },
  }
}
