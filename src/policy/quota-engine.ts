// Charges the quotas that a caller names: of a request that was just checked, or of one by itself.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { QuotaDemand, QuotaGrant, QuotaOptions, QuotaService } from '../kernel/services.ts'
import type { PolicyRequest, PolicyRequests } from './policy-request.ts'
import { grantQuota } from './quota.ts'
import { referencesOf } from './references.ts'

export class QuotaEngine implements QuotaService {
  readonly #requests: PolicyRequests

  constructor(requests: PolicyRequests) {
    this.#requests = requests
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
    const context = { handlers: state.handlers, deadline }
    const grants = [...demands].map(async ([name, demand]): Promise<[string, QuotaGrant]> => {
      const grant = await grantQuota({ ...demand, name, deduplicationId }, plan.enforced, bag, context)
      return [name, { ...grant, referenced: referencesOf(request, grant.referenced) }]
    })
    return new Map(await Promise.all(grants))
  }
}
