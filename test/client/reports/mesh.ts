// Nodes as the buffer of reports sees them: each call counts once, whichever of its answers are lost.

import { IntermixError } from '../../../src/kernel/errors.ts'
import type { ReportCall } from '../../../src/wire/reports/report-call.ts'
import { readReportCall, unpackReportCall } from '../../../src/wire/reports/report-call.ts'

export type Fate = 'taken' | 'lost answer' | 'away' | 'refused' | 'too large'

export class Mesh {
  /** What becomes of the next calls. */
  fate: () => Fate = () => 'taken'
  tries = 0
  readonly calls = new Map<string, ReportCall>()
  /** Payloads in the order in which they were taken first. */
  readonly payloads: string[] = []

  readonly nodes = {
    call: async (path: string, message: Uint8Array): Promise<Uint8Array> => {
      this.tries++
      const fate = this.fate()
      if (path !== '/intermix.v1.Reports/Report') throw new Error(`no method ${path}`)
      if (fate === 'away') throw new IntermixError('BACKEND_FAILED', 'nobody is there')
      const call = readReportCall(message)
      const isKnown = this.calls.has(call.id)
      // What a node has taken once it does not refuse.
      if (fate === 'refused' && !isKnown) throw new IntermixError('INVALID_REQUEST', 'not that')
      if (fate === 'too large' && !isKnown) throw new IntermixError('TOO_LARGE', 'a message is larger than 1000 bytes')
      if (!isKnown) {
        this.calls.set(call.id, call)
        for (const { payload } of unpackReportCall(message).batches) this.payloads.push(Buffer.from(payload).toString())
      }
      if (fate === 'lost answer') throw new IntermixError('DEADLINE_EXCEEDED', 'no answer')
      return new Uint8Array(0)
    },
  }

  get records(): number {
    let count = 0
    for (const { parts } of this.calls.values()) for (const part of parts) count += part.count
    return count
  }

  get dropped(): Record<string, number> {
    const all: Record<string, number> = {}
    for (const { dropped } of this.calls.values())
      for (const { reason, count } of dropped) all[reason] = (all[reason] ?? 0) + count
    return all
  }
}
