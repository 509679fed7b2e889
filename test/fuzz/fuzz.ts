// Feeds hostile input to targets and watches time: an input may be refused, it may not crash or stall.

import { IntermixError } from '../../src/kernel/errors.ts'
import { seededRandom } from '../../load/random.ts'
import { Refused, type Target } from './target.ts'

/** No input may hold the event loop longer. */
const LIMIT_MS = 50
const LOOKS_LONG_MS = 5
const INPUTS_A_TURN = 100

interface Failure {
  readonly target: string
  readonly input: string
  readonly reason: string
}

interface TargetFigures {
  readonly name: string
  readonly inputs: number
  readonly refused: number
  /** The longest that one input took, in milliseconds; repeated where it looked too long. */
  readonly worstMs: number
  readonly totalMs: number
}

interface FuzzResult {
  readonly figures: readonly TargetFigures[]
  readonly failures: readonly Failure[]
}

const MAX_FAILURES = 20
const REFUSALS: ReadonlySet<string> = new Set(['INVALID_REQUEST', 'INVALID_ATTRIBUTE'])

/** Gives `runs` inputs to the targets in equal parts. The same seed gives the same inputs. */
export async function fuzz(targets: readonly Target[], runs: number, seed: number): Promise<FuzzResult> {
  const failures: Failure[] = []
  const each = Math.ceil(runs / targets.length)
  const figures: TargetFigures[] = []
  for (const [at, target] of targets.entries())
    figures.push(await fuzzTarget(target, { runs: each, seed: seed * 1000 + at, failures }))
  return { figures, failures }
}

async function fuzzTarget(
  target: Target,
  { runs, seed, failures }: { readonly runs: number; readonly seed: number; readonly failures: Failure[] },
): Promise<TargetFigures> {
  const random = seededRandom(seed)
  const fail = (input: Uint8Array | string, reason: string) => {
    if (failures.length < MAX_FAILURES) failures.push({ target: target.name, input: describeInput(input), reason })
  }
  let refused = 0
  let worstMs = 0
  let totalMs = 0
  for (let i = 0; i < runs; i++) {
    const input = target.generate(random)
    const outcome = attempt(target, input)
    if (outcome.crash !== undefined) fail(input, outcome.crash)
    if (outcome.refused) refused++
    totalMs += outcome.ms
    const ms = outcome.ms <= LOOKS_LONG_MS ? outcome.ms : settledTime(target, input)
    if (ms > LIMIT_MS) fail(input, `took ${ms.toFixed(1)} ms`)
    worstMs = Math.max(worstMs, ms)
    // What is handled at the end of a turn of the event loop would pile up.
    if (i % INPUTS_A_TURN === 0) await new Promise(setImmediate)
  }
  return { name: target.name, inputs: runs, refused, worstMs, totalMs }
}

/** A slow machine or a garbage collection is not the input's fault: what is slow by itself is slow each time. */
function settledTime(target: Target, input: Uint8Array | string): number {
  return Math.min(...[1, 2, 3].map(() => attempt(target, input).ms))
}

function attempt(target: Target, input: Uint8Array | string): { ms: number; refused: boolean; crash?: string } {
  const startedAt = performance.now()
  try {
    target.run(input)
    return { ms: performance.now() - startedAt, refused: false }
  } catch (caught) {
    const ms = performance.now() - startedAt
    if (caught instanceof Refused) return { ms, refused: true }
    if (caught instanceof IntermixError && REFUSALS.has(caught.code)) return { ms, refused: true }
    return { ms, refused: false, crash: caught instanceof Error ? (caught.stack ?? caught.message) : String(caught) }
  }
}

function describeInput(input: Uint8Array | string): string {
  if (typeof input === 'string') return JSON.stringify(input.slice(0, 2_000))
  return `base64 (${input.length} bytes) ${Buffer.from(input).toString('base64').slice(0, 4_000)}`
}
