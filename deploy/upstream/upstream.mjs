// Something to protect: says what reached it.
import { createServer } from 'node:http'

createServer((request, response) => {
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify({ method: request.method, path: request.url, headers: request.headers })}\n`)
}).listen(8080)
