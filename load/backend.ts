// A policy backend as a process of its own: `node load/backend.ts`. It decides by the oracle, notes every call, and
// fails on command: `POST /fault {"kind": …, "latencyMs": …}` on its control port, `GET /calls`, `POST /forget`.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import type { BackendCall, Fault } from './backend-control.ts'
import { decisionOn, isPoison } from './oracle.ts'

const MAX_CALLS = 5_000_000

const { values } = parseArgs({
  options: {
    validity: { type: 'string', default: '1' },
    latency: { type: 'string', default: '0' },
  },
})
/** Seconds, as `Cache-Control: max-age`. */
const validity = Number(values.validity)
const usualLatencyMs = Number(values.latency)

const calls: BackendCall[] = []
const hanging = new Set<ServerResponse>()
let fault: Fault = { kind: 'none' }
let port = 0
let server = await listen(port)
port = portOf(server)

const control = createServer((request, response) => {
  void command(request)
    .then((body) => response.end(JSON.stringify(body)))
    .catch((error: unknown) => response.writeHead(500).end(String(error)))
})
control.listen(0, '127.0.0.1', () => {
  process.stdout.write(`backend ready on ${port} control ${portOf(control)}\n`)
})

async function command(request: IncomingMessage): Promise<unknown> {
  switch (`${request.method} ${request.url}`) {
    case 'POST /fault':
      await become((await json(request)) as Fault)
      return {}
    case 'GET /calls':
      return calls
    case 'POST /forget':
      calls.length = 0
      return {}
    default:
      throw new Error(`no such command: ${request.method} ${request.url}`)
  }
}

async function become(next: Fault): Promise<void> {
  const refused = fault.kind === 'refuse'
  fault = next
  for (const response of hanging) response.destroy()
  hanging.clear()
  if (next.kind === 'refuse' && !refused) {
    server.close()
    server.closeAllConnections()
  } else if (next.kind !== 'refuse' && refused) {
    server = await listen(port)
  }
}

function failureOn(path: string): 'error' | 'hang' | undefined {
  if (fault.kind === 'poison') return isPoison(path) ? fault.by : undefined
  return fault.kind === 'error' || fault.kind === 'hang' ? fault.kind : undefined
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { fields } = (await json(request)) as { fields: { value: string } }
  const failure = failureOn(fields.value)
  const ok = failure === undefined
  if (calls.length < MAX_CALLS) calls.push([request.url?.slice(1) ?? '', fields.value, Date.now(), ok ? 1 : 0])
  if (failure === 'hang') {
    hanging.add(response)
    return
  }
  if (failure === 'error') {
    response.writeHead(503).end()
    return
  }
  const latencyMs = fault.kind === 'slow' ? fault.latencyMs : usualLatencyMs
  if (latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, latencyMs))
  const status = decisionOn(fields.value) === 'allow' ? 200 : 403
  response.writeHead(status, { 'cache-control': `max-age=${validity}` }).end()
}

async function listen(on: number): Promise<Server> {
  const created = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    created.once('error', reject)
    created.listen(on, '127.0.0.1', resolve)
  })
  return created
}

function portOf(listening: Server): number {
  const address = listening.address()
  if (address === null || typeof address === 'string') throw new Error('a server without a port')
  return address.port
}
