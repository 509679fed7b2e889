// Checks at the nodes of a fleet, open loop, each answer held against the oracle; what got no decision is asked at another node.

import { setTimeout as sleep } from 'node:timers/promises'
import { drive, type Reply } from '../driver.ts'
import { decisionOn, pathOf } from '../oracle.ts'
import { seededRandom } from '../random.ts'
import type { Member } from '../report-chaos/member.ts'
import { poissonTimes } from '../schedule.ts'
import { quantiles } from '../statistics.ts'
import { intermixTarget, type Target } from '../targets.ts'
import { warmUp } from '../warm-up.ts'
import { ZipfSampler } from '../zipf.ts'

const KEYS = 300
const WARM_UP = 1_000
/** Long, so that what fails failed because of Redis, and not because this machine was busy with something else. */
export const CHECK_TIMEOUT_MS = 3_000
/** How long a caller goes on asking one node after the other. */
const PATIENCE_MS = 30_000
const BEFORE_NEXT_TRY_MS = 100
const ENDLESS_SECONDS = 1e6

export interface CheckFigures {
  readonly checks: number
  /** Decisions that are not the oracle's. */
  readonly wrong: number
  /** No decision at any node. */
  readonly failed: number
  /** No decision at first. */
  readonly retried: number
  readonly p99: number
  readonly max: number
  /** How late the driver itself was: beyond some milliseconds the machine was too busy for latencies to count. */
  readonly lateP99: number
  /** Why there was no decision at first, with how often. */
  readonly errors: Readonly<Record<string, number>>
}

/** Has the nodes run hot first. @returns a function that ends them and resolves with what they were told */
export async function startChecks(
  nodes: readonly Member[],
  { perSecond, seed }: { readonly perSecond: number; readonly seed: number },
): Promise<() => Promise<CheckFigures>> {
  const random = seededRandom(seed)
  const keys = new ZipfSampler(KEYS, 1, random)
  const targets = new Map<string, Target>()
  const latencies: number[] = []
  const lates: number[] = []
  const errors: Record<string, number> = {}
  const counts = { checks: 0, wrong: 0, failed: 0, retried: 0 }
  let isOver = false
  const targetOf = (address: string) => {
    let target = targets.get(address)
    if (target === undefined)
      targets.set(address, (target = intermixTarget([`http://${address}`], 1, { deadlineMs: CHECK_TIMEOUT_MS })))
    return target
  }
  for (const { addresses } of nodes) await warmUp(targetOf(addresses?.http ?? ''), WARM_UP)
  const askOnce = async (node: Member | undefined, key: number): Promise<Reply> => {
    const address = node?.addresses?.http
    if (address === undefined) return { decision: 'none', error: 'the node is down' }
    const target = targetOf(address)
    return await target.ask(key).catch((error: Error) => ({ decision: 'none', error: error.message }))
  }
  const ask = async (key: number, number: number): Promise<Reply> => {
    let reply = await askOnce(nodes[number % nodes.length], key)
    if (reply.decision !== 'none') return reply
    counts.retried++
    const error = (reply.error ?? '').slice(0, 120)
    errors[error] = (errors[error] ?? 0) + 1
    const until = performance.now() + PATIENCE_MS
    for (let tries = 1; performance.now() < until && reply.decision === 'none'; tries++) {
      await sleep(BEFORE_NEXT_TRY_MS)
      reply = await askOnce(nodes[(number + tries) % nodes.length], key)
    }
    return reply
  }
  const driving = drive({
    arrivals: untilStopped(perSecond, random, () => isOver),
    nextKey: () => keys.next(),
    ask,
    onOutcome({ key, decision, latencyMs, lateMs }) {
      lates.push(lateMs)
      counts.checks++
      latencies.push(latencyMs)
      if (decision === 'none') counts.failed++
      else if (decision !== decisionOn(pathOf(key))) counts.wrong++
    },
  })
  return async () => {
    isOver = true
    await driving
    await Promise.all([...targets.values()].map((target) => target.close()))
    const [p99, max] = quantiles(Float64Array.from(latencies), 0.99, 1)
    const [lateP99] = quantiles(Float64Array.from(lates), 0.99)
    return { ...counts, p99, max, lateP99, errors }
  }
}

function* untilStopped(perSecond: number, random: () => number, stopped: () => boolean): Generator<number, void> {
  const phase = { from: perSecond, to: perSecond, seconds: ENDLESS_SECONDS }
  for (const at of poissonTimes([phase], random)) {
    if (stopped()) return
    yield at
  }
}
