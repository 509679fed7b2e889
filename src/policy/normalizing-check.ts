// One entrance for checks from every door: policy sees one spelling of a path and a host, and nothing that has two readings.

import type { RevocationTarget } from '../kernel/revocation.ts'
import { type AttributeBag, MapBag, type Vocabulary } from '../kernel/attribute-bag.ts'
import { AMBIGUOUS_REQUESTS_TOTAL } from '../kernel/metrics/checks.ts'
import type { Meter } from '../kernel/ports.ts'
import type { CheckOptions, CheckOutcome, CheckService } from '../kernel/services.ts'
import { isStringMap } from '../kernel/value.ts'
import { AmbiguousRequest, type PathAmbiguity } from '../wire/ambiguity.ts'
import { NormalRequestBag } from '../wire/normal-request-bag.ts'
import { outcomeAsSent } from '../wire/as-sent.ts'

export interface NormalizingCheckOptions {
  readonly check: CheckService
  /** What a path may hold although servers read it differently. */
  readonly allowed: ReadonlySet<PathAmbiguity>
  readonly meter: Meter
}

/** Hands checks on with their paths and hosts in normal form, and refuses what has none. */
export class NormalizingCheck implements CheckService {
  readonly #check: CheckService
  readonly #allowed: ReadonlySet<PathAmbiguity>
  readonly #refused: (reason: string) => void

  constructor({ check, allowed, meter }: NormalizingCheckOptions) {
    this.#check = check
    this.#allowed = allowed
    const refused = meter.counter(AMBIGUOUS_REQUESTS_TOTAL)
    this.#refused = (reason) => refused({ reason }).add()
  }

  vocabulary(): Vocabulary {
    return this.#check.vocabulary()
  }

  /**
   * A path with `..` has to pass as every server may read it: with the dots resolved, and as a path that begins with what
   * stands before them.
   * @throws AmbiguousRequest (INVALID_REQUEST)
   */
  check(bag: AttributeBag, options: CheckOptions): CheckOutcome | Promise<CheckOutcome> {
    const [normal, unresolved] = this.readings(bag)
    // What is given back was paid for by one reading: answers of two are nobody's to keep.
    if (unresolved === undefined || (options.uses ?? 1) < 0) return this.#ask(normal, options)
    // Quotas are charged once, after both have passed. Nobody keeps the answer, so it takes no uses away from others.
    const once = { ...options, keepsAnswer: false, uses: 1 }
    const first = this.#askOnce(unresolved, { ...once, charging: 'none' })
    const proceed = (outcome: CheckOutcome) => {
      const { answer, isUndecided = false } = outcome
      return answer.status.code === 0 ? this.#askOnce(normal, { ...once, alsoRead: unresolved, isUndecided }) : outcome
    }
    return first instanceof Promise ? first.then(proceed) : proceed(first)
  }

  #ask(bag: NormalRequestBag, options: CheckOptions): CheckOutcome | Promise<CheckOutcome> {
    const outcome = this.#check.check(bag, options)
    if (outcome instanceof Promise) return outcome.then((done) => outcomeAsSent(done, bag))
    return outcomeAsSent(outcome, bag)
  }

  /** The answer depends on what the other reading depended on too, and says so of its own only: nobody may keep it. */
  #askOnce(bag: NormalRequestBag, options: CheckOptions): CheckOutcome | Promise<CheckOutcome> {
    const outcome = this.#ask(bag, options)
    const forget = (done: CheckOutcome): CheckOutcome => ({
      ...done,
      answer: { ...done.answer, validForMs: 0, validUses: 0 },
      shape: undefined,
    })
    return outcome instanceof Promise ? outcome.then(forget) : forget(outcome)
  }

  /** The bags that have to pass: as policy sees the request, and as it sees it too. @throws AmbiguousRequest */
  readings(bag: AttributeBag): readonly [NormalRequestBag, NormalRequestBag?] {
    try {
      return readingsOf(bag, this.#allowed)
    } catch (caught) {
      if (caught instanceof AmbiguousRequest) this.#refused(caught.ambiguity)
      throw caught
    }
  }
}

/** As `readings`, of what was checked before: a refusal was counted then. @throws AmbiguousRequest */
export function readingsOf(
  bag: AttributeBag,
  allowed: ReadonlySet<PathAmbiguity>,
): readonly [NormalRequestBag, NormalRequestBag?] {
  const normal = new NormalRequestBag(bag, allowed)
  const unresolved = normal.unresolved()
  return unresolved === undefined ? [normal] : [normal, unresolved]
}

/**
 * A revocation as the verdicts know it that it is about: what they depended on was in normal form.
 * @throws AmbiguousRequest (INVALID_REQUEST) for a value that no check can have had
 */
export function normalTarget(target: RevocationTarget, allowed: ReadonlySet<PathAmbiguity>): RevocationTarget {
  if (target.kind !== 'attribute') return target
  const { name, key, value } = target
  const given = key === undefined ? value : new Map([[key.toLowerCase(), value]])
  const shown = new NormalRequestBag(MapBag.of({ [name]: given }), allowed).get(name)
  const normal = shown !== undefined && isStringMap(shown) ? shown.get(key?.toLowerCase() ?? '') : shown
  return typeof normal === 'string' ? { ...target, value: normal } : target
}
