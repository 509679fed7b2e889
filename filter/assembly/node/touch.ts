// Which config is current, what is revoked, and whether a revocation would be heard of: as the stream to a node tells it.

import { Bytes, isBytes } from '../bytes/bytes'
import { Chosen } from '../cache/chosen'
import { KeptAnswer } from '../cache/kept-answer'
import { Request } from '../request/request'
import { Revocations } from './revocations'
import { Settable } from './settable'
import { News } from './told'

/** Who could not be sure for so long to know all revocations is out of touch. */
export const OUT_OF_TOUCH_MS: f64 = 2_000

export class Touch {
  private readonly revocations: Revocations
  private knownAt: f64 = -Infinity
  private partitionMaxAgeMs: f64 = 0
  /** `null` before a node has told one under which answers may be kept. */
  config: Bytes | null = null
  /** That which is followed. */
  generation: Bytes | null = null

  constructor(settable: Settable) {
    this.revocations = new Revocations(settable)
  }

  get sequence(): f64 {
    return this.revocations.sequence
  }

  /**
   * Takes what a node tells.
   * @param sentAt when it was asked; negative where it was not
   * @returns whether there is something to confirm
   */
  take(news: News, sentAt: f64): bool {
    if (news.config !== null) this.config = news.isConfigUnknown ? null : news.config
    const generation = news.generation
    if (generation === null) return false
    const followed = this.generation
    const isNew = followed === null || !isBytes(followed, generation)
    const known = this.revocations.sequence
    if (isNew) {
      // What was revoked before is not known: all that was answered before is void.
      this.generation = generation
      this.revocations.restart(generation, news.sequence)
      this.knownAt = -Infinity
    } else {
      for (let i = 0; i < news.revocations.length; i++) {
        const revocation = news.revocations[i]
        if (revocation.sequence === this.revocations.sequence + 1) this.revocations.apply(revocation)
      }
      // There were others, and nobody knows which. A node that is behind changes nothing.
      if (this.revocations.sequence < news.sequence) this.revocations.revokeBelow(news.sequence)
    }
    this.partitionMaxAgeMs = news.maxAgeMs
    if (sentAt >= 0) this.knownAt = max(this.knownAt, sentAt - news.outOfTouchMs)
    return isNew || this.revocations.sequence > known
  }

  /** The oldest answer that may be given now, in ms. */
  maxAgeMs(now: f64): f64 {
    return now - this.knownAt < OUT_OF_TOUCH_MS + this.partitionMaxAgeMs ? Infinity : this.partitionMaxAgeMs
  }

  allows(kept: KeptAnswer, chosen: Chosen, request: Request): bool {
    return this.revocations.allows(kept.generation, kept.sequence, chosen, request)
  }
}
