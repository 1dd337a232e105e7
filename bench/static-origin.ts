import { createReadStream, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

// A plain origin in a process of its own, so that it takes nothing from the client that measures.
const [directory = '.'] = process.argv.slice(2)
const server = createServer((request, response) => {
  const path = join(directory, new URL(request.url ?? '/', 'http://origin').pathname)
  const { size } = statSync(path)
  response.writeHead(200, { 'content-length': size })
  createReadStream(path, { highWaterMark: 1024 * 1024 }).pipe(response)
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address && typeof address === 'object') console.log(address.port)
})
