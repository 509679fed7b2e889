// What a node tells callers that keep its answers: put together from the parts that know it.

import type { RevocationCallers } from '../cache/revocation-callers.ts'
import type { RevocationService } from '../cache/revocation-service.ts'
import type { Revocations } from '../cache/revocations.ts'
import type { CallerSizes } from '../cache/tuning/caller-sizes.ts'
import type { PolicyState } from '../policy/handler-table.ts'
import type { NodeNews } from '../server/caller-news.ts'
import type { PathAmbiguity } from '../wire/ambiguity.ts'
import type { CacheSample } from '../wire/batch/cache-sample.ts'
import type { MeshMembers, NodeConfig } from '../wire/batch/news.ts'

/** The nodes of the mesh, as far as this one knows them. */
interface KnownMembers {
  members(): MeshMembers | undefined
  onChange(listener: () => void): void
}

interface NodeNewsOptions {
  readonly revocations: Revocations
  readonly callers: RevocationCallers
  readonly callerSizes?: CallerSizes
  readonly service: Pick<RevocationService, 'outOfTouchMs'>
  readonly partitionMaxAgeMs: number
  readonly normalizes: boolean
  readonly allowedAmbiguities: ReadonlySet<PathAmbiguity>
  state(): PolicyState | undefined
}

export class ComposedNews implements NodeNews {
  readonly revocations: Revocations
  readonly maxAgeMs: number
  readonly #options: NodeNewsOptions
  readonly #listeners = new Set<() => void>()
  #known: KnownMembers | undefined
  #of: PolicyState | undefined
  #config: NodeConfig | undefined

  constructor(options: NodeNewsOptions) {
    this.#options = options
    this.revocations = options.revocations
    this.maxAgeMs = options.partitionMaxAgeMs
    options.revocations.onChange(() => this.changed())
  }

  join(name: string): ReturnType<RevocationCallers['join']> {
    return this.#options.callers.join(name)
  }

  sampled(name: string, sample: CacheSample): number | undefined {
    return this.#options.callerSizes?.sampled(name, sample)
  }

  outOfTouchMs(): number {
    return this.#options.service.outOfTouchMs()
  }

  config(): NodeConfig | undefined {
    const state = this.#options.state()
    if (state === this.#of) return this.#config
    this.#of = state
    const { normalizes, allowedAmbiguities } = this.#options
    const snapshot = state?.snapshot
    if (snapshot !== undefined && snapshot.id !== this.#config?.id)
      this.#config = { id: snapshot.id, vocabulary: snapshot.vocabulary, normalizes, allowedAmbiguities }
    return this.#config
  }

  members(): MeshMembers | undefined {
    return this.#known?.members()
  }

  /** Tells of the members, too. */
  tellMembers(known: KnownMembers): void {
    this.#known = known
    known.onChange(() => this.changed())
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Something that is told has changed, such as the config. */
  changed(): void {
    for (const listener of this.#listeners) listener()
  }
}
