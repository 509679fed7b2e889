// One run: the same requests to several arms at once while all backends fail together again and again.

import type { Backend, Fault } from '../backend-control.ts'
import { drive, type Outcome } from '../driver.ts'
import { seededRandom } from '../random.ts'
import { arrivals, type Outage, outages as planOutages } from '../schedule.ts'
import { ZipfSampler } from '../zipf.ts'
import type { Arm } from './arms.ts'
import { AFTERMATH_MS } from './sample.ts'

export interface OutageRunOptions {
  readonly arms: readonly Arm[]
  readonly backends: readonly Backend[]
  readonly keys: number
  readonly perSecond: number
  readonly durationMs: number
  readonly warmUpMs: number
  readonly seed: number
}

export interface OutageRun {
  readonly outcomes: ReadonlyMap<string, readonly Outcome[]>
  /** As they really were, in ms from the start. */
  readonly outages: readonly Outage[]
  /** Wall-clock ms of the start. */
  readonly startedAt: number
}

const KINDS = ['error', 'refuse', 'hang'] as const
/** Scaled down by 60: one and a half minutes on average, as outages are; long ones are cut off at five. */
const DOWN = { meanDownMs: 1_600, minDownMs: 400, maxDownMs: 5_000 }
const UP = { meanUpMs: AFTERMATH_MS + 1_500, minUpMs: AFTERMATH_MS + 1_000 }

/** Resolves when every request has ended. */
export async function runWithOutages(options: OutageRunOptions): Promise<OutageRun> {
  const { arms, backends, keys, perSecond, durationMs, warmUpMs, seed } = options
  const random = seededRandom(seed)
  const plan = planOutages({ durationMs, warmUpMs, ...DOWN, ...UP }, random)
  const startAt = performance.now() + 200
  const startedAt = Date.now() + 200
  const outcomes = new Map<string, Outcome[]>(arms.map((arm) => [arm.name, []]))
  const traffic = arms.map(({ name, target }) => {
    const own = seededRandom(seed + 1)
    const sampler = new ZipfSampler(keys, 1, own)
    return drive({
      arrivals: arrivals(perSecond, durationMs, own),
      nextKey: () => sampler.next(),
      ask: (key) => target.ask(key),
      onOutcome: (outcome) => outcomes.get(name)?.push(outcome),
      startAt,
    })
  })
  const happened: Outage[] = []
  const now = () => performance.now() - startAt
  const waitUntil = (at: number) => new Promise((resolve) => setTimeout(resolve, Math.max(0, at - now())))
  const failAll = (fault: Fault) => Promise.all(backends.map((backend) => backend.fail(fault)))
  for (const { from, to } of plan) {
    await waitUntil(from)
    const began = now()
    await failAll({ kind: KINDS[Math.floor(random() * KINDS.length)] ?? 'error' })
    await waitUntil(to)
    await failAll({ kind: 'none' })
    happened.push({ from: began, to: now() })
  }
  await Promise.all(traffic)
  return { outcomes, outages: happened, startedAt }
}
