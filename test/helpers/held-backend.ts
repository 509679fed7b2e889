// A real HTTP backend in a thread of its own, which holds its answers until it is told to give them: so it can answer
// while the test's own event loop stands still.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const PROGRAM = `
const { createServer } = require('node:http')
const { workerData, parentPort } = require('node:worker_threads')
const cells = new Int32Array(workerData)
const held = []
const server = createServer((request, response) => {
  request.resume().on('end', () => {
    held.push(response)
    Atomics.add(cells, 0, 1)
    flush()
  })
})
// The flag is polled: the thread that sets it stands still afterwards.
function flush() {
  if (Atomics.load(cells, 2) === 0) return
  for (const response of held.splice(0)) {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end('{"answered":true}', () => Atomics.add(cells, 1, 1))
  }
}
setInterval(flush, 1)
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
`

export interface HeldBackend {
  readonly url: string
  /** Requests that have arrived, and answers that have been written. */
  readonly arrived: number
  readonly answered: number
  /** Answers what is held and what comes. */
  release(): void
  /** Answers nothing from now on. */
  hold(): void
  close(): Promise<void>
}

export async function startHeldBackend(): Promise<HeldBackend> {
  const shared = new SharedArrayBuffer(12)
  const cells = new Int32Array(shared)
  const worker = new Worker(PROGRAM, { eval: true, workerData: shared })
  const [port] = (await once(worker, 'message')) as [number]
  return {
    url: `http://127.0.0.1:${port}/`,
    get arrived() {
      return Atomics.load(cells, 0)
    },
    get answered() {
      return Atomics.load(cells, 1)
    },
    release: () => void Atomics.store(cells, 2, 1),
    hold: () => void Atomics.store(cells, 2, 0),
    async close() {
      await worker.terminate()
    },
  }
}

/** Keeps the event loop busy until the condition holds and at least `ms` have passed. */
export function standStill(ms: number, condition: () => boolean = () => true): void {
  const start = performance.now()
  while (performance.now() < start + ms || !condition()) {
    if (performance.now() > start + 20_000) throw new Error('stood still for 20 s in vain')
  }
}
