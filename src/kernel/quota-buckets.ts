// Rate limit quotas: proxies count requests in buckets, report what became of them, and limit them by themselves as they are
// assigned to (Envoy's RLQS).

import type { DescriptorEntry } from './rate-limit.ts'

/** Names and values that tell a bucket from others, by name. */
export type BucketId = readonly DescriptorEntry[]

/** What a proxy did with the requests of one bucket since it said so last. */
export interface BucketUsage {
  readonly bucket: BucketId
  /** 0 where the proxy does not say. */
  readonly elapsedMs: number
  readonly allowed: number
  readonly denied: number
}

/** How a proxy goes on with the requests of a bucket. */
export type Strategy =
  | { readonly kind: 'allow' | 'deny' }
  /** So many and no more. `isNew` begins to count; else what was used of the same number stays used. */
  | { readonly kind: 'requests'; readonly requests: number; readonly isNew: boolean }
  | { readonly kind: 'rate'; readonly perSecond: number }

export type BucketAction =
  | { readonly bucket: BucketId; readonly kind: 'assign'; readonly strategy: Strategy; readonly ttlSeconds: number }
  /** The proxy is to forget the bucket. */
  | { readonly bucket: BucketId; readonly kind: 'abandon' }

/** One proxy that asks, as long as its stream lasts. */
export interface QuotaProxy {
  /**
   * Takes what it used; assignments follow.
   * @throws IntermixError NOT_READY where the limits of its domain are not known: it goes on as it is configured to
   */
  report(usages: readonly BucketUsage[]): void
  /** It is gone; what it was assigned is its own until that expires. */
  close(): void
}

export interface QuotaAssignments {
  /**
   * A proxy that asks for the limits of a domain; `send` tells it what to do.
   * @throws IntermixError INVALID_REQUEST without a domain, NOT_READY as `report`, OVERLOADED where there are too many
   */
  open(domain: string, send: (action: BucketAction) => void): QuotaProxy
}
