// A backend of reports that fails at random, before or after it has taken a batch, and tells repeats by their batch ids.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHash } from 'node:crypto'

/** How a call fails: with a status, by no answer at all, or by a connection that breaks. */
const FAILURES = ['500', '429', 'hang', 'reset'] as const
type Failure = (typeof FAILURES)[number]

export interface Receiver {
  readonly url: string
  /** Share of calls that fail, from 0 to 1. */
  failing: number
  /** Calls so far, by what became of them. */
  readonly calls: Readonly<Record<Failure | 'taken' | 'repeated', number>>
  /** Batches that came again under their id with other instances: a deduplicating backend would lose them. */
  readonly changed: number
  stop(): Promise<void>
}

interface ReportBody {
  readonly batchId: string
  readonly instances: readonly { readonly fields: { readonly variables: { readonly record: string } } }[]
}

/** Every second failing call has taken its batch before it fails. */
const TAKEN_ALL_THE_SAME = 0.5
const RETRY_AFTER_SECONDS = 1

/** @param take called with the number of each record, once for each place in a batch */
export async function startReceiver(random: () => number, take: (record: number) => void): Promise<Receiver> {
  const receiver = new ChaosReceiver(random, take)
  await receiver.listen()
  return receiver
}

class ChaosReceiver implements Receiver {
  failing = 0
  changed = 0
  readonly calls = { '500': 0, '429': 0, hang: 0, reset: 0, taken: 0, repeated: 0 }
  readonly #random: () => number
  readonly #take: (record: number) => void
  readonly #server = createServer((request, response) => void this.#answer(request, response))
  /** Digest of the instances by batch id. */
  readonly #batches = new Map<string, string>()

  constructor(random: () => number, take: (record: number) => void) {
    this.#random = random
    this.#take = take
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request)
    // The sender left in the midst: nothing was taken.
    if (body === undefined) return
    const failure = this.#random() < this.failing ? FAILURES[Math.floor(this.#random() * FAILURES.length)] : undefined
    if (failure === undefined || this.#random() < TAKEN_ALL_THE_SAME) this.#record(body)
    if (failure === undefined) response.end()
    else this.#fail(failure, request, response)
  }

  #record({ batchId, instances }: ReportBody): void {
    const digest = createHash('sha256').update(JSON.stringify(instances)).digest('base64')
    const known = this.#batches.get(batchId)
    this.#batches.set(batchId, digest)
    this.calls[known === undefined ? 'taken' : 'repeated']++
    if (known !== undefined && known !== digest) this.changed++
    if (known === undefined) for (const { fields } of instances) this.#take(Number(fields.variables.record))
  }

  #fail(failure: Failure, request: IncomingMessage, response: ServerResponse): void {
    this.calls[failure]++
    if (failure === 'hang') return
    if (failure === 'reset') request.socket.resetAndDestroy()
    else {
      if (failure === '429') response.setHeader('retry-after', RETRY_AFTER_SECONDS)
      response.writeHead(Number(failure)).end()
    }
  }
}

async function readBody(request: IncomingMessage): Promise<ReportBody | undefined> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer)
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as ReportBody
  } catch {
    return undefined
  }
}
