// Mixer's client around one pool, as its unit tests have it: what they say of the transport is done here.

import { MIXER_PREFETCH } from '../../../src/client/quotas/prefetch-options.ts'
import { type Lease, QuotaPrefetch } from '../../../src/client/quotas/quota-prefetch.ts'

/** Mixer took a network failure for a grant in full, for a minute. */
const FAILED = -1
const FAILED_OPEN_MS = 60_000

export class MixerClient {
  readonly #pool = new QuotaPrefetch(MIXER_PREFETCH, () => 0.5, 0)
  readonly #send: (lease: Lease) => void

  constructor(send: (lease: Lease) => void) {
    this.#send = send
  }

  check(amount: number, now: number): boolean {
    const lease = this.#pool.refill(amount, now)
    if (lease !== undefined) this.#send(lease)
    this.#pool.note(amount, now)
    return this.#pool.spend(amount, now)
  }

  reply(lease: Lease, granted: number, validForMs: number, now: number): void {
    const isFailed = granted === FAILED
    const grant = isFailed ? { granted: lease.amount, validForMs: FAILED_OPEN_MS } : { granted, validForMs }
    this.#pool.granted(lease, { ...grant, from: now }, now)
  }
}

export interface TraceStep {
  readonly op: 'check' | 'response'
  readonly t_ms: number
  readonly amount?: number
  readonly passed?: boolean
  readonly alloc?: number | null
  readonly granted?: number
  readonly valid_ms?: number
  readonly for_request?: number
}

/** What the client does in each check of a trace, as the trace has it. */
export function play(steps: readonly TraceStep[]): readonly Pick<TraceStep, 'passed' | 'alloc'>[] {
  const waiting: Lease[] = []
  let asked: Lease | undefined
  const client = new MixerClient((lease) => {
    asked = lease
    waiting.push(lease)
  })
  const seen: Pick<TraceStep, 'passed' | 'alloc'>[] = []
  for (const { op, t_ms: now, amount = 0, granted = 0, valid_ms: validMs = 0, for_request: request } of steps) {
    if (op === 'check') {
      asked = undefined
      const passed = client.check(amount, now)
      seen.push({ passed, alloc: asked === undefined ? null : (asked as Lease).amount })
      continue
    }
    const at = waiting.findIndex((lease) => lease.amount === request)
    const [lease] = waiting.splice(at, 1)
    if (lease === undefined) throw new Error(`nobody asked for ${request}`)
    client.reply(lease, granted, validMs, now)
  }
  return seen
}

export const checksOf = (steps: readonly TraceStep[]) =>
  steps.filter(({ op }) => op === 'check').map(({ passed, alloc }) => ({ passed, alloc }))
