// A node's verdict cache without the rest of the node: a backend that a test scripts, time that a test moves.

import type { AnyAdapter } from '../../src/adapter-kit/define-adapter.ts'
import { createRefusals } from '../../src/cache/cache-metrics.ts'
import { KeyCardinality } from '../../src/cache/key-cardinality.ts'
import { LocalTier, sharedTier } from '../../src/cache/local-tier.ts'
import { MeshTier } from '../../src/cache/mesh-tier.ts'
import { Protection } from '../../src/cache/protection.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import { VerdictCache } from '../../src/cache/verdict-cache.ts'
import type { VerdictOutcome, VerdictSource } from '../../src/cache/verdict-request.ts'
import type { HandlerConfig } from '../../src/config/snapshot.ts'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { MeshSeal } from '../../src/kernel/mesh-signatures.ts'
import type { Verdict } from '../../src/kernel/verdict.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import type { FakeClock } from '../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

const EMPTY = MapBag.of({})
/** The clock of the Redis server that nodes share, which nobody sets: ms since the epoch when a fake clock is at 0. */
export const SERVER_START = Date.UTC(2026, 0, 15, 12)

const TEMPLATES = ['listentry', 'quota', 'kubernetes'] as const

/** A handler config for the cache: only its limits matter. */
export function handlerConfig(overrides: Partial<HandlerConfig> = {}, doesIo = true): HandlerConfig {
  return {
    name: 'backend.handler.test',
    adapter: { name: 'scripted', doesIo, templates: TEMPLATES } as Partial<AnyAdapter> as AnyAdapter,
    params: {},
    digest: 'digest-1',
    timeoutMs: 1_000,
    reportTimeoutMs: 1_000,
    staleIfErrorMs: 600_000,
    staleWhileRevalidateMs: 0,
    maxDenyValidForMs: undefined,
    costPerCall: 0,
    ...overrides,
  }
}

export function allow(validForMs = 60_000, validUses = 10_000): Verdict {
  return { kind: 'allow', status: { code: 0, message: '' }, validForMs, validUses }
}

export function deny(validForMs = 60_000, message = 'no'): Verdict {
  return { kind: 'deny', status: { code: 7, message }, validForMs, validUses: 10_000 }
}

/** A backend whose answers a test sets; it counts how often it was asked, and may take its time. */
export class Backend implements VerdictSource {
  readonly handler: HandlerConfig
  calls = 0
  answer: Verdict | Error = allow()
  isHealthy = true
  /** Milliseconds on the clock that a call takes; 0 answers in a microtask. */
  tookMs = 0
  readonly #clock: FakeClock

  constructor(clock: FakeClock, handler: HandlerConfig = handlerConfig()) {
    this.#clock = clock
    this.handler = handler
  }

  healthy(): boolean {
    return this.isHealthy
  }

  async fetch(): Promise<Verdict> {
    this.calls++
    const { answer } = this
    if (this.tookMs > 0) await new Promise<void>((resolve) => this.#clock.after(this.tookMs, resolve))
    if (answer instanceof Error) throw answer
    return answer
  }
}

export const DOWN = new IntermixError('BACKEND_FAILED', 'the backend is down')

export interface NodeOptions {
  readonly clock: FakeClock
  readonly link?: RedisLink
  readonly nodeId?: string
  readonly random?: () => number
  readonly seal?: MeshSeal
  readonly local?: boolean
  readonly refreshesPerSecond?: number
  readonly maxAgeMs?: () => number
}

/** One node's caches. */
export function createNode(options: NodeOptions) {
  const { clock, link, nodeId = 'n1', random = () => 0.5 } = options
  const meter = new ReadableMeter()
  const revocations = new Revocations()
  const protection = new Protection(clock, meter)
  const cache = new VerdictCache({
    clock,
    random,
    meter,
    local:
      options.local === false
        ? undefined
        : sharedTier(
            new LocalTier({
              maxEntries: 1_000,
              maxBytes: 10_000_000,
              onEvict() {},
              refused: createRefusals(meter, 'verdict').size,
            }),
          ),
    mesh:
      link === undefined
        ? undefined
        : new MeshTier({
            link,
            clock,
            meter,
            prefix: 'test',
            nodeId,
            seal: options.seal,
            sharedNow: () => SERVER_START + Math.round(clock.monotonic()),
          }),
    revocations,
    protection,
    cardinality: new KeyCardinality(new KeptLog(), meter),
    maxAgeMs: options.maxAgeMs ?? (() => Number.POSITIVE_INFINITY),
    refreshesPerSecond: options.refreshesPerSecond ?? 0,
    maxWatchedBytes: () => 64 * 1024 * 1024,
  })
  const ask = (source: VerdictSource, value = 'x', bag: AttributeBag = EMPTY, timeoutMs = 500) =>
    cache.get({
      source,
      instance: { name: 'i.instance.test', template: 'listentry', fields: { value } },
      bag,
      deadline: clock.monotonic() + timeoutMs,
    })
  return { cache, meter, revocations, protection, ask }
}

/** `tier kind`, or `unknown`. */
export async function said(outcome: VerdictOutcome | Promise<VerdictOutcome>): Promise<string> {
  const { entry, ...rest } = await outcome
  return entry === undefined || !('tier' in rest) ? 'unknown' : `${rest.tier} ${entry.verdict.kind}`
}
