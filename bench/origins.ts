import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Origin extends AsyncDisposable {
  readonly url: string
}

/** Serves the files of a directory over HTTP. */
export async function startStaticOrigin(directory: string): Promise<Origin> {
  const script = join(import.meta.dirname, 'static-origin.ts')
  const child = spawn(process.execPath, [script, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [port] = await once(child.stdout, 'data')
  return originOf(`http://127.0.0.1:${String(port).trim()}`, child)
}

/** Serves the repositories of a directory over git's own protocol. */
export async function startGitDaemon(directory: string): Promise<Origin> {
  const port = await freePort()
  const args = ['daemon', '--export-all', `--base-path=${directory}`, '--listen=127.0.0.1']
  const child = spawn('git', [...args, `--port=${port}`, '--reuseaddr'], { stdio: 'ignore' })
  await untilListening(port)
  return originOf(`git://127.0.0.1:${port}`, child)
}

function originOf(url: string, child: ChildProcess): Origin {
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill()
      await once(child, 'exit')
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((closed) => server.close(closed))
  return typeof address === 'object' && address ? address.port : 0
}

async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const socket = connect(port, '127.0.0.1')
    const isUp = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isUp) return
    await sleep(50)
  }
  throw new Error(`git daemon does not listen on port ${port}`)
}
