// Examines configs before anybody uses them. A thread does it, with bounds on its memory and its time; and since V8 ends
// the whole process for a single allocation that does not fit (the store of a growing array or map), whatever limits a thread
// has, that thread lives in a process of its own. What a config does there harms nobody.

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onExpiry } from '../../kernel/deadline.ts'
import type { Clock } from '../../kernel/ports.ts'
import type { ConfigText } from '../../config/config-texts.ts'
import {
  type EncodedBag,
  type PreflightCompiling,
  type PreflightLimits,
  type PreflightOutcome,
  type PreflightRequest,
  refusal,
} from './preflight-report.ts'
import { BUSY_FACTOR, START_MS } from './watched-thread.ts'

export interface PreflightOptions {
  /** The program of the process that examines: `workers/preflight`. */
  readonly program: URL
  readonly clock: Clock
  readonly compile: PreflightCompiling
  readonly limits?: Partial<PreflightLimits>
}

/** Enough for 100 000 rules, on a machine that serves meanwhile. */
const DEFAULT_LIMITS: PreflightLimits = { memoryMb: 768, timeoutMs: 60_000, evaluationMs: 250, bags: 20_000 }
/** For the process to say what became of its thread, beyond the times that the thread has. */
const GRACE_MS = 5_000

/** How V8 ends a process that is out of memory. */
const OUT_OF_MEMORY: readonly (NodeJS.Signals | null)[] = ['SIGABRT', 'SIGTRAP', 'SIGILL']

/** How people and supervisors end processes: all of a terminal or of a service at once, and the node among them. */
const ENDED: readonly (NodeJS.Signals | null)[] = ['SIGTERM', 'SIGINT', 'SIGHUP']

/** Examines one config after the other. */
export class Preflight {
  readonly #options: PreflightOptions
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: PreflightOptions) {
    this.#options = options
  }

  /**
   * Whether a config can be used, by all that can be found out without using it. Never rejects.
   * @param name what problems of the config as a whole call it
   * @param recorded attributes of recent requests (`recorded-bags.ts`)
   */
  async examine(
    name: string,
    files: readonly ConfigText[],
    recorded: readonly EncodedBag[] = [],
  ): Promise<PreflightOutcome> {
    const { compile } = this.#options
    const limits = { ...DEFAULT_LIMITS, ...this.#options.limits }
    const before = this.#last
    const examined = (async () => {
      await before
      return await this.#inProcess({ name, files, recorded, compile, limits })
    })()
    this.#last = examined
    return await examined
  }

  async #inProcess(request: PreflightRequest): Promise<PreflightOutcome> {
    const { program, clock } = this.#options
    const { memoryMb, timeoutMs } = request.limits
    const longestMs = START_MS + timeoutMs * BUSY_FACTOR + GRACE_MS
    let child: ChildProcess
    try {
      const stdio = ['ignore', 'ignore', 'ignore', 'ipc'] as const
      child = fork(fileURLToPath(program), [], { serialization: 'advanced', execArgv: [], stdio: [...stdio] })
    } catch (error) {
      return refusal('unavailable', `no process could be started to examine it: ${(error as Error).message}`)
    }
    const settled = Promise.withResolvers<PreflightOutcome>()
    const cancel = onExpiry(clock, longestMs, () =>
      settled.resolve(refusal('unavailable', `it could not be examined in ${longestMs / 1_000} s`)),
    )
    child.on('message', (outcome) => settled.resolve(outcome as PreflightOutcome))
    child.on('error', (error) => settled.resolve(refusal('unavailable', `it could not be examined: ${error.message}`)))
    child.on('exit', (code, signal) => settled.resolve(endOf(code, signal, memoryMb)))
    // What cannot be sent ends the process, too.
    child.send(request, () => undefined)
    const outcome = await settled.promise
    cancel()
    child.kill('SIGKILL')
    return outcome
  }
}

function endOf(code: number | null, signal: NodeJS.Signals | null, memoryMb: number): PreflightOutcome {
  if (OUT_OF_MEMORY.includes(signal)) return refusal('memory', `the config takes more than ${memoryMb} MiB`)
  if (signal === 'SIGKILL')
    return refusal('memory', 'the kernel killed the process that examined the config, as it does for want of memory')
  if (ENDED.includes(signal))
    return refusal('unavailable', `the process that examined the config was ended (${signal})`)
  return refusal(
    'crash',
    `the process that examined the config ended ${signal === null ? `with code ${code}` : `by ${signal}`}`,
  )
}
