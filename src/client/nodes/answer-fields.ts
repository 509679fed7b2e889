// The fields of a header block of an answer, and what they are to it (RFC 9113, sections 8.1 and 8.3.2).

import type { HeaderSink } from '../../wire/http2/hpack/decoder.ts'

/** What is said on the way (103, say), what an answer begins with, what it ends with; or what none may hold. */
export type BlockKind = 'interim' | 'head' | 'trailers' | 'malformed'

export class AnswerFields implements HeaderSink {
  /** Of several of one name the last. */
  readonly fields = new Map<string, string>()
  #isMalformed = false

  field(name: string, value: string, malformed: boolean): void {
    // The only pseudo-header of answers stands before all fields, and once.
    if (malformed || (name.startsWith(':') && (name !== ':status' || this.fields.size > 0))) this.#isMalformed = true
    this.fields.set(name, value)
  }

  /**
   * @param isLast whether nothing comes behind it
   * @param hasHead whether the answer has begun
   */
  kind(isLast: boolean, hasHead: boolean): BlockKind {
    if (this.#isMalformed) return 'malformed'
    const status = this.fields.get(':status')
    if (hasHead) return status === undefined && isLast ? 'trailers' : 'malformed'
    if (status === undefined || !/^[1-9]\d\d$/.test(status)) return 'malformed'
    if (!status.startsWith('1')) return 'head'
    return isLast ? 'malformed' : 'interim'
  }
}
