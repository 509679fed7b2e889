// What callers of batch streams are told unasked: revocations, the config, who is there. Each stream is told what it was not
// told before.

import type { RevocationCaller } from '../cache/revocation-callers.ts'
import type { Revocations } from '../cache/revocations.ts'
import type { Epoch } from '../kernel/revocation.ts'
import type { CacheSample } from '../wire/batch/cache-sample.ts'
import type { Heard, MeshMembers, News, NodeConfig } from '../wire/batch/news.ts'

/** What this node has to tell. */
export interface NodeNews {
  readonly revocations: Pick<Revocations, 'since'> & {
    /** `undefined` before anything is known of them. */
    readonly epoch: Epoch | undefined
  }
  /** A caller follows the revocations from now on. */
  join(name: string): RevocationCaller
  /** How long ago, at most, all revocations that had been acknowledged were known here, in ms. */
  outOfTouchMs(): number
  /** How old an answer may be, in ms, that is given by who is out of touch. */
  readonly maxAgeMs: number
  /** Takes what a caller would find at other sizes. @returns how many answers it should keep, where that is known */
  sampled?(name: string, sample: CacheSample): number | undefined
  /** The same object as long as it is the same config. */
  config(): NodeConfig | undefined
  /** The same object as long as they are the same; `undefined` where it is not known who is there. */
  members(): MeshMembers | undefined
  /** Who tells it stands before nodes itself. */
  readonly isRelayed?: true
  /** Calls back when any of it has changed; the returned function ends that. */
  onChange(listener: () => void): () => void
}

/** One stream whose caller has a name. */
export class CallerNews {
  readonly #news: NodeNews
  readonly #caller: RevocationCaller
  readonly #name: string
  readonly #load: () => number
  readonly #unlisten: () => void
  #hasHeard = false
  /** Up to where it was told of revocations; what a stream is told arrives. */
  #told: Epoch | undefined
  #config: NodeConfig | undefined
  #members: MeshMembers | undefined

  /**
   * @param load checks a second
   * @param onChange there is something to tell
   */
  constructor(news: NodeNews, name: string, load: () => number, onChange: () => void) {
    this.#news = news
    this.#name = name
    this.#caller = news.join(name)
    this.#load = load
    this.#unlisten = news.onChange(onChange)
  }

  /** Takes what the caller has heard, and answers. */
  answer({ ask, epoch, behind, sample }: Heard): News {
    // Of another generation than is told now it could be told of an older one meanwhile, and have left this.
    this.#caller.confirm(epoch?.generation === this.#news.revocations.epoch?.generation ? epoch : undefined, behind)
    // It may know some from before this stream.
    if (!this.#hasHeard) this.#told = epoch
    this.#hasHeard = true
    const news = this.#tell(ask)
    const recommendedEntries = sample && this.#news.sampled?.(this.#name, sample)
    return recommendedEntries === undefined ? news : { ...news, recommendedEntries }
  }

  /** What has changed since it was told last; nothing before it has said what it has heard. */
  changes(): News | undefined {
    if (!this.#hasHeard) return undefined
    const { revocations } = this.#news
    const isNew = this.#told !== revocations.epoch || this.#config !== this.#news.config()
    return isNew || this.#members !== this.#news.members() ? this.#tell(0) : undefined
  }

  end(): void {
    this.#unlisten()
    this.#caller.leave()
  }

  #tell(ask: number): News {
    const { revocations, maxAgeMs, isRelayed } = this.#news
    const { epoch } = revocations
    const known = this.#told?.generation === epoch?.generation ? this.#told : epoch
    const config = this.#news.config()
    const members = this.#news.members()
    const news = {
      ask,
      epoch,
      revocations: known === undefined ? [] : revocations.since(known.sequence),
      outOfTouchMs: this.#news.outOfTouchMs(),
      maxAgeMs,
      load: this.#load(),
      config: config === this.#config ? undefined : config,
      members: members === this.#members ? undefined : members,
      isRelayed,
    }
    this.#told = epoch
    this.#config = config
    this.#members = members
    return news
  }
}
