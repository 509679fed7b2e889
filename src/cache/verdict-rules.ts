// What makes an entry of a verdict, and which entries a request may have: by revocations, by age, by life.

import type { HandlerConfig } from '../config/snapshot.ts'
import type { Clock, Random } from '../kernel/ports.ts'
import type { Verdict } from '../kernel/verdict.ts'
import type { Revocations } from './revocations.ts'
import type { Epoch } from '../kernel/revocation.ts'
import { freshness, type VerdictEntry } from './verdict-entry.ts'
import type { VerdictRequest } from './verdict-request.ts'

export interface VerdictRulesOptions {
  readonly clock: Clock
  readonly random: Random
  readonly revocations: Revocations
  /** The oldest verdict that may be served now, in ms: bounded while the node is out of touch with revocations. */
  maxAgeMs(): number
}

/** Whom a verdict is of, and for whose request. */
interface AskedOf extends Pick<VerdictRequest, 'bag'> {
  readonly source: Pick<VerdictRequest['source'], 'handler'>
}

/** Life is shortened by up to this share, so that entries of one moment do not end in one moment. */
const JITTER = 0.02

export class VerdictRules {
  readonly #options: VerdictRulesOptions

  constructor(options: VerdictRulesOptions) {
    this.#options = options
  }

  /** To be taken before anything is asked: what is fetched is stamped with it. */
  get epoch(): Epoch {
    return this.#options.revocations.epoch
  }

  /** Whether nothing that the request depends on was revoked since an epoch. */
  allows(epoch: Epoch, { source, bag }: AskedOf): boolean {
    return this.#options.revocations.allows(epoch, [source.handler.name], bag)
  }

  isYoungEnough(entry: VerdictEntry): boolean {
    return this.#options.clock.monotonic() - entry.createdAt <= this.#options.maxAgeMs()
  }

  /** Whether an entry may be used. What another node stored is bound like what this one stored itself. */
  accepts(entry: VerdictEntry, request: VerdictRequest): boolean {
    return this.allows(entry.epoch, request) && this.isYoungEnough(entry)
  }

  /** Whether an entry may be served should the backend give none. */
  acceptsStale(entry: VerdictEntry, request: VerdictRequest): boolean {
    return this.accepts(entry, request) && freshness(entry, this.#options.clock.monotonic(), 0) !== 'dead'
  }

  /** XFetch (Vattani, Chierichetti, Lowenstein, VLDB 2015) with β = 1: the nearer the end, the likelier. */
  wantsEarlyRefresh(entry: VerdictEntry, now: number): boolean {
    return now - entry.fetchMs * Math.log(1 - this.#options.random()) >= entry.freshUntil
  }

  /** @param startedAt when the backend was asked: what it said may be as old */
  entryOf(verdict: Verdict, handler: HandlerConfig, startedAt: number, epoch: Epoch): VerdictEntry {
    const { clock, random } = this.#options
    const now = clock.monotonic()
    const limit = verdict.kind === 'deny' ? handler.maxDenyValidForMs : undefined
    const validForMs = Math.floor(Math.min(verdict.validForMs, limit ?? Number.POSITIVE_INFINITY))
    // What is computed in this process ends at nobody's cost, so only fetched verdicts are spread.
    const jitter = handler.adapter.doesIo ? JITTER * random() : 0
    const freshUntil = Math.floor(startedAt + validForMs * (1 - jitter))
    return {
      verdict: validForMs === verdict.validForMs ? verdict : { ...verdict, validForMs },
      createdAt: Math.floor(startedAt),
      freshUntil,
      staleUntil: freshUntil + handler.staleIfErrorMs,
      epoch,
      isFetched: handler.adapter.doesIo,
      fetchMs: Math.max(0, Math.ceil(now - startedAt)),
      usesLeft: verdict.validUses,
      hits: 0,
      lastHitAt: Math.floor(now),
      answers: 0,
    }
  }
}
