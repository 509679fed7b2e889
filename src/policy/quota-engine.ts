// Charges the quotas that a caller names: of a request that was just checked, or of one by itself.

import { shortName } from '../adapter-kit/quota-limits.ts'
import type { ReadCollector } from '../cache/read-collector.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { QuotaDemand, QuotaGrant, QuotaOptions, QuotaService } from '../kernel/services.ts'
import type { Snapshot } from '../config/snapshot.ts'
import type { PolicyState } from './handler-table.ts'
import type { PolicyRequest, PolicyRequests } from './policy-request.ts'
import { grantShapeOf } from './answer-shape.ts'
import { grantQuota, type QuotaNames } from './quota.ts'
import { referencesOf } from './references.ts'

export class QuotaEngine implements QuotaService {
  readonly #requests: PolicyRequests
  /** Of each config: requests may be asked of two by turns. */
  readonly #names = new WeakMap<Snapshot, QuotaNames>()

  constructor(requests: PolicyRequests) {
    this.#requests = requests
  }

  #namesOf({ snapshot }: PolicyState): QuotaNames {
    let names = this.#names.get(snapshot)
    if (names === undefined) {
      names = quotaNames(snapshot)
      this.#names.set(snapshot, names)
    }
    return names
  }

  async charge(
    bag: AttributeBag,
    demands: ReadonlyMap<string, QuotaDemand>,
    options: QuotaOptions,
  ): Promise<ReadonlyMap<string, QuotaGrant>> {
    return this.#requests.handle(bag, options, (request) => this.grant(request, demands))
  }

  /** Grants quotas of a request that is prepared already; all are asked at once. Never rejects. */
  async grant(
    request: PolicyRequest<QuotaOptions>,
    demands: ReadonlyMap<string, QuotaDemand>,
  ): Promise<ReadonlyMap<string, QuotaGrant>> {
    const { bag, deadline, options, plan, state } = request
    const { deduplicationId = '' } = options
    const context = { handlers: state.handlers, deadline, known: this.#namesOf(state) }
    const tell = request.choosing && ((name: string, reads: ReadCollector) => grantShapeOf(request, name, reads.steps))
    const grants = [...demands].map(async ([name, demand]): Promise<[string, QuotaGrant]> => {
      const grant = await grantQuota({ ...demand, name, deduplicationId }, plan.enforced, bag, context, tell)
      return [name, { ...grant, referenced: referencesOf(request, grant.referenced) }]
    })
    return new Map(await Promise.all(grants))
  }
}

/** Quotas by the names that callers have for them: full or short, in any case. */
export function quotaNames({ instances }: Snapshot): QuotaNames {
  const names = [...instances.values()].filter(({ template }) => template.variety === 'quota').map(({ name }) => name)
  const short = names.map(shortName)
  const known = new Set([...names, ...short].map((name) => name.toLowerCase()))
  return { has: (name) => known.has(name.toLowerCase()), all: [...new Set(short)] }
}
