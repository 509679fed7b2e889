// What the processes of all nodes hold of one limit for their proxies.

import { IntermixError } from '../../kernel/errors.ts'
import type { RedisLink } from '../../redis/connection.ts'
import { defineScript } from '../../redis/scripts.ts'
import { tagOf } from '../charge-script.ts'
import type { Claim } from './shares.ts'

export interface ClaimRequest extends Claim {
  /** Held by proxies that keep it for now. */
  readonly keeps: number
  /** To be held, that included. */
  readonly holds: number
  /** Used since the last time, and charged to the limit just now. */
  readonly used: number
  /** What there is for all nodes. */
  readonly total: number
  /** After so long without a word what is held is free again. */
  readonly forMs: number
}

export interface ClaimReply {
  /** What may be held; not less than what is kept. */
  readonly held: number
  /** Of the other processes, in the same order for all. */
  readonly others: readonly Claim[]
  /** How many of them come before this one. */
  readonly before: number
}

export interface Claims {
  /** Rejects with REDIS_UNAVAILABLE. */
  claim(key: string, request: ClaimRequest): Promise<ClaimReply>
  /** How many processes there are, as far as it is known. */
  readonly processes: number
}

/** Of a process without Redis: it knows of no others. */
export const CLAIMS_ALONE: Claims = {
  processes: 1,
  claim: (_key, { keeps, holds, total }) =>
    Promise.resolve({ held: Math.max(keeps, Math.min(holds, total)), others: [], before: 0 }),
}

const script = defineScript({ name: 'quota-claims', keys: 1, reply: readReply })

export interface RedisClaimsOptions {
  readonly link: Pick<RedisLink, 'run'>
  readonly prefix: string
  /** Of this process. */
  readonly id: string
  /** Who charges limits. */
  readonly charging: { readonly count: number }
}

export class RedisClaims implements Claims {
  readonly #options: RedisClaimsOptions

  constructor(options: RedisClaimsOptions) {
    this.#options = options
  }

  get processes(): number {
    return this.#options.charging.count
  }

  async claim(key: string, request: ClaimRequest): Promise<ClaimReply> {
    const { link, prefix, id } = this.#options
    const { weight, wanted, spare, keeps, holds, used, total, forMs } = request
    const args = [id, weight, wanted, spare, keeps, holds, used, total, forMs]
    return await link.run((client) => script.run(client, [`${prefix}${tagOf(key)}:claims`], args))
  }
}

function readReply(raw: unknown): ClaimReply {
  const numbers = Array.isArray(raw) ? raw.map(Number) : []
  if (numbers.length % 3 !== 2 || numbers.some((each) => !Number.isFinite(each)))
    throw new IntermixError('BACKEND_FAILED', 'unexpected reply of the script of claims')
  const [held = 0, before = 0, ...rest] = numbers
  const others: Claim[] = []
  for (let at = 0; at < rest.length; at += 3)
    others.push({ weight: rest[at] ?? 0, wanted: rest[at + 1] ?? 0, spare: rest[at + 2] ?? 0 })
  return { held, others, before }
}
