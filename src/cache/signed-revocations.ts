// The log of revocations where nodes have a key in common: generations are named by who signs their names, and each record bears a
// signature over its number, what it revokes and the record before it. The head names the last record, so nothing can be taken
// out, put in or moved unnoticed by who knows the log: what does not fit is taken for a log that was lost.

import { hash } from 'node:crypto'
import type { MeshSignatures, SignatureFault } from '../kernel/mesh-signatures.ts'
import { RECORDS_AT_ONCE, type SyncReply } from './revocation-log.ts'

/** Where a node is in the log: what it has applied, and the mark of the last record, empty where it does not know it. */
export interface LogPlace {
  readonly generation: string
  readonly sequence: number
  readonly mark: string
}

/** A token, the link to the record before, and a signature (key and code); marks of nodes without a key have the token alone. */
const MARK = /^([^.\s]+)\.([^.\s]+)\.([^.\s]+\.[^.\s]+)$/
const GENERATION = /^([^.\s/]+)\.([^.\s/]+\.[^.\s/]+)\/(\d{1,15})@(\d{1,15})$/
const RECORD = /^(\d{1,15}) (\S+) (.+)$/s

export class SignedRevocations {
  readonly #signatures: MeshSignatures
  /** The generation that was found to be signed. */
  #known = ''

  constructor(signatures: MeshSignatures) {
    this.#signatures = signatures
  }

  /** The mark of the record that comes after `place`. @param token never used before */
  mark({ generation, sequence, mark }: LogPlace, token: string, target: string): string {
    const link = linkTo(mark)
    const text = recordText(generation, sequence + 1, token, link, target)
    return `${token}.${link}.${this.#signatures.sign('revocation', text)}`
  }

  /**
   * The name of a generation that begins after those of these names, as far as they are signed.
   * @param now by the clock of the Redis server
   */
  following(token: string, names: readonly string[], now: number): string {
    const numbers = names.map((name) => (this.#nameFault(name) === undefined ? numberIn(name) : 0))
    const number = String(Math.max(...numbers) + 1)
    const signature = this.#signatures.sign('revocation', generationText(token, number, String(now)))
    return `${token}.${signature}/${number}@${now}`
  }

  /** Why what was read from `place` on is not what nodes have written, counted; `undefined` where it is. */
  fault(reply: SyncReply, place: LogPlace): SignatureFault | undefined {
    const fault = this.#generationFault(reply.generation) ?? this.#recordsFault(reply, place)
    if (fault !== undefined) this.#signatures.refused('revocation', fault)
    return fault
  }

  #generationFault(generation: string): SignatureFault | undefined {
    if (generation === this.#known) return undefined
    const fault = this.#nameFault(generation)
    if (fault === undefined) this.#known = generation
    return fault
  }

  #nameFault(generation: string): SignatureFault | undefined {
    const [, token = '', signature = '', number = '', at = ''] = GENERATION.exec(generation) ?? []
    return this.#signatures.fault('revocation', generationText(token, number, at), signature)
  }

  #recordsFault({ generation, sequence, records, head }: SyncReply, place: LogPlace): SignatureFault | undefined {
    const isSame = place.generation === generation
    let at = isSame ? place.sequence : 0
    let mark = isSame ? place.mark : ''
    for (const [index, record] of records.entries()) {
      const [, digits = '', given = '', target = ''] = RECORD.exec(record) ?? []
      // The oldest records are not kept for ever: who has none yet begins with the first that is there.
      if (Number(digits) !== at + 1 && !(index === 0 && Number(digits) > at)) return 'broken_chain'
      const isNext = Number(digits) === at + 1
      at = Number(digits)
      const [, token = '', link = '', signature = ''] = MARK.exec(given) ?? []
      const text = recordText(generation, at, token, link, target)
      const fault = this.#signatures.fault('revocation', text, signature)
      if (fault !== undefined) return fault
      const isLinked = signature === '' || !isNext || (mark === '' && at > 1) || link === linkTo(mark)
      if (!isLinked) return 'broken_chain'
      mark = given
    }
    if (records.length >= RECORDS_AT_ONCE && at < sequence) return undefined
    const [, , last = ''] = head.split(' ')
    const isWhole = at === sequence && (mark === '' ? sequence === 0 || isSame : mark === last)
    return isWhole ? undefined : 'broken_chain'
  }
}

/** Which generation it is, of those that were counted: what is larger was not counted by a node. */
function numberIn(generation: string): number {
  const number = Number(/\/(\d{1,14})@\d+$/.exec(generation)?.[1] ?? 0)
  return Number.isSafeInteger(number) ? number : 0
}

/** What ties a record to the one before. */
function linkTo(mark: string): string {
  return mark === '' ? '-' : hash('sha256', mark, 'base64url')
}

function recordText(generation: string, sequence: number, token: string, link: string, target: string): string {
  return JSON.stringify(['record', 1, generation, sequence, token, link, target])
}

function generationText(token: string, number: string, at: string): string {
  return JSON.stringify(['generation', 1, token, number, at])
}
