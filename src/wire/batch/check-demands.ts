// What a check of a batch asks beside an answer: which quotas it charges, and how often.

import { type CheckOptions, MAX_USES, type QuotaDemand } from '../../kernel/services.ts'
import type { RefusalReason } from '../../kernel/refused-request.ts'
import { VARINT, type WireReader } from '../wire-reader.ts'
import type { WireWriter } from '../wire-writer.ts'
import type { SentWords } from './sent-words.ts'

export interface CheckDemands extends Pick<CheckOptions, 'quotas' | 'deduplicationId' | 'charging' | 'uses'> {
  /** Charges `quotas` without asking whether the request is allowed. */
  readonly quotasOnly?: boolean
  /** Of uses that are given back: the config by which they were paid. A node that has another one takes none. */
  readonly paidUnder?: string | undefined
}

/** Quotas that one check may name. */
const MAX_QUOTAS = 100
const CHARGING = ['all', 'named', 'none'] as const

/** The fields of a check that are demands. */
const QUOTAS = 11
const DEDUPLICATION_ID = 12
const CHARGES = 13
const USES = 14
const QUOTAS_ONLY = 15
const PAID_UNDER = 16

export function isDemand(field: number): boolean {
  return field >= QUOTAS && field <= PAID_UNDER
}

/** Writes the fields of demands at the end of a check. */
export function writeDemands(
  check: WireWriter,
  words: SentWords,
  { quotas, deduplicationId = '', charging = 'all', uses = 0, quotasOnly = false, paidUnder }: CheckDemands,
): void {
  for (const [name, { amount, bestEffort }] of quotas ?? []) {
    const demand = check.open(QUOTAS)
    check.sint32(1, words.word(name))
    check.int64(2, amount)
    check.bool(3, bestEffort)
    check.close(demand)
  }
  if (deduplicationId !== '') check.sint32(DEDUPLICATION_ID, words.once(deduplicationId), true)
  check.uint(CHARGES, CHARGING.indexOf(charging))
  check.sint32(USES, uses)
  check.bool(QUOTAS_ONLY, quotasOnly)
  if (paidUnder !== undefined) check.sint32(PAID_UNDER, words.word(paidUnder), true)
}

/** What the reader of a check knows of its words, and where it says what is wrong. */
interface CheckSide {
  /** `undefined` where it is no text; that is refused then. */
  text(word: number): string | undefined
  refuse(reason: RefusalReason, message: string): void
  /** A later version may understand it: whoever asks is to ask another node, and nobody is denied for it. */
  fail(message: string): void
}

/** The demands of one check, field by field. */
export class ReadDemands implements CheckDemands {
  quotas?: Map<string, QuotaDemand>
  deduplicationId?: string
  charging?: (typeof CHARGING)[number]
  uses?: number
  quotasOnly?: boolean
  paidUnder?: string

  /** What makes no sense is refused. @throws IntermixError INVALID_REQUEST where it is malformed */
  read(reader: WireReader, tag: number, check: CheckSide): void {
    if (tag >>> 3 === QUOTAS) return this.#readQuota(reader, tag, check)
    reader.expect(tag, VARINT)
    switch (tag >>> 3) {
      case DEDUPLICATION_ID:
        this.deduplicationId = check.text(reader.sint32()) ?? ''
        return
      case CHARGES: {
        const charging = CHARGING[reader.varint32()]
        if (charging === undefined)
          return check.fail('which quotas the check charges is said in a way that is not known here')
        this.charging = charging
        return
      }
      case USES: {
        const uses = reader.sint32()
        if (Math.abs(uses) > MAX_USES) return check.refuse('too-large', `more than ${MAX_USES} uses; ask for fewer`)
        if (uses !== 0) this.uses = uses
        return
      }
      case QUOTAS_ONLY:
        this.quotasOnly = reader.varint32() !== 0
        return
      default:
        this.paidUnder = check.text(reader.sint32()) ?? ''
    }
  }

  /** To be called when all fields are read. */
  finish(check: Pick<CheckSide, 'refuse'>): void {
    const { quotas, quotasOnly = false } = this
    if (quotasOnly && quotas === undefined)
      return check.refuse('invalid-value', 'quotas alone are to be charged, and none is named')
    if (quotasOnly || quotas === undefined) return
    for (const [name, { amount }] of quotas) {
      if (amount >= 0) continue
      const text = `the amount of ${name.slice(0, 100)} is below 0: what is given back is charged by quotas_only`
      return check.refuse('invalid-value', text)
    }
  }

  #readQuota(reader: WireReader, quotaTag: number, check: CheckSide): void {
    const outer = reader.openField(quotaTag)
    let word = 0
    let amount = 0n
    let bestEffort = false
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 > 3) {
        reader.skip(tag)
        continue
      }
      reader.expect(tag, VARINT)
      if (tag >>> 3 === 1) word = reader.sint32()
      else if (tag >>> 3 === 2) amount = reader.int64()
      else bestEffort = reader.varint32() !== 0
    }
    reader.close(outer)
    const quotas = (this.quotas ??= new Map())
    if (quotas.size >= MAX_QUOTAS)
      return check.refuse('too-large', `more than ${MAX_QUOTAS} quotas in one check; name fewer`)
    const name = check.text(word)
    if (name === undefined) return
    if (quotas.has(name)) return check.refuse('contradictory', `the check names the quota ${name.slice(0, 100)} twice`)
    if (!Number.isSafeInteger(Number(amount)))
      return check.refuse('too-large', `the amount ${amount} of ${name.slice(0, 100)} cannot be counted`)
    quotas.set(name, { amount: Number(amount), bestEffort })
  }
}
