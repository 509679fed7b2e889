// Quotas that are charged without a check see the spelling that checks see.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { QuotaDemand, QuotaGrant, QuotaOptions, QuotaService } from '../kernel/services.ts'
import { grantsAsSent } from '../wire/as-sent.ts'
import type { NormalizingCheck } from './normalizing-check.ts'

export class NormalizingQuotas implements QuotaService {
  readonly #quotas: QuotaService
  readonly #spelling: Pick<NormalizingCheck, 'readings'>

  constructor(quotas: QuotaService, spelling: Pick<NormalizingCheck, 'readings'>) {
    this.#quotas = quotas
    this.#spelling = spelling
  }

  /** A path with `..` is charged once, with the dots resolved. Rejects with AmbiguousRequest (INVALID_REQUEST). */
  async charge(
    bag: AttributeBag,
    demands: ReadonlyMap<string, QuotaDemand>,
    options: QuotaOptions,
  ): Promise<ReadonlyMap<string, QuotaGrant>> {
    const [normal] = this.#spelling.readings(bag)
    return grantsAsSent(await this.#quotas.charge(normal, demands, options), normal)
  }
}
