import { expect } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { ReportBatch } from '../../src/kernel/report.ts'
import type { ReportOutcome } from '../../src/kernel/services.ts'
import type { Parcel } from '../../src/telemetry/parcel.ts'
import type { ParcelSink } from '../../src/telemetry/parcel-road.ts'
import type { ReportIntake } from '../../src/telemetry/report-intake.ts'

/** A sink whose readiness and answers the test decides. */
export class TestSink implements ParcelSink {
  isReady = true
  fail = false
  hang = false
  /** Adds under way, and how many there were at most. */
  underWay = 0
  mostUnderWay = 0
  readonly taken: Parcel[] = []
  #listeners: (() => void)[] = []
  #resume: (() => void)[] = []

  ready(): boolean {
    return this.isReady
  }

  onReady(callback: () => void): void {
    this.#listeners.push(callback)
  }

  becomeReady(): void {
    this.isReady = true
    for (const listener of this.#listeners) listener()
  }

  async add(parcel: Parcel): Promise<void> {
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay)
    try {
      if (this.hang) await new Promise<void>((resolve) => void this.#resume.push(resolve))
      if (this.fail) throw new IntermixError('REDIS_UNAVAILABLE', 'away')
      this.taken.push(parcel)
    } finally {
      this.underWay--
    }
  }

  /** Ends the adds that hang. */
  letGo(): void {
    this.hang = false
    for (const resume of this.#resume.splice(0)) resume()
  }

  get ids(): string[] {
    return this.taken.flatMap((parcel) => parcel.batches.map((batch) => batch.id))
  }
}

/** What became of reports, those included that had to be waited for. */
export async function settled(outcomes: readonly (ReportOutcome | Promise<ReportOutcome>)[]): Promise<ReportOutcome[]> {
  const all: ReportOutcome[] = []
  for (const outcome of outcomes) all.push(await outcome)
  return all
}

export function batch(id: string, count: number, bytes = 100, format = 'attributes'): ReportBatch {
  return { id, format, count, payload: new Uint8Array(bytes), acceptedAt: 0 }
}

export function expectBalanced(intake: ReportIntake): void {
  const { accepted, delivered, held, stored, dropped } = intake.totals()
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0)
  expect(delivered + held + stored + lost).toBe(accepted)
}
