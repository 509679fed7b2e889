// Lets a thread examine a config within its memory and its time, and says what became of it.

import { Worker } from 'node:worker_threads'
import { onExpiry } from '../../kernel/deadline.ts'
import type { Clock } from '../../kernel/ports.ts'
import { type PreflightOutcome, type PreflightRequest, refusal } from './preflight-report.ts'
import type { ThreadMessage, ThreadStart } from './thread-messages.ts'

/** For the thread to load its code, and adapters of others, on a busy machine. */
export const START_MS = 60_000
/** A machine that is busy with others may take so many times as long as the processor's time allows. */
export const BUSY_FACTOR = 10
const LOOK_MS = 100
/** A little less than what a process has whose stack nobody has set: what nests too deep there must not pass here. */
const STACK_MB = 1
const YOUNG_MB = 32

/** What a thread is watched by. */
export interface ThreadWatch {
  readonly clock: Clock
  /** Processor time of this process with all its threads, in ms. */
  processorMs(this: void): number
}

/**
 * Examines a config in a thread of `program`. Never rejects. Mostly the thread alone ends when its memory is used up; a single
 * allocation that is too large ends the whole process, so this is for a process of its own.
 */
export async function examineInThread(
  program: URL,
  request: PreflightRequest,
  { clock, processorMs }: ThreadWatch,
): Promise<PreflightOutcome> {
  const { memoryMb, timeoutMs } = request.limits
  const progress = new Int32Array(new SharedArrayBuffer(4)).fill(-1)
  let names: readonly string[] = []
  const rule = () => names[Atomics.load(progress, 0)]
  const worker = new Worker(program, {
    workerData: { request, progress: progress.buffer } satisfies ThreadStart,
    resourceLimits: { maxOldGenerationSizeMb: memoryMb, maxYoungGenerationSizeMb: YOUNG_MB, stackSizeMb: STACK_MB },
    execArgv: [],
  })
  const settled = Promise.withResolvers<PreflightOutcome>()
  let cancel = onExpiry(clock, START_MS, () => settled.resolve(refusal('unavailable', 'the thread did not start')))
  worker.on('message', (message: ThreadMessage) => {
    if (message.type === 'named') names = message.rules
    if (message.type === 'done') settled.resolve(message.outcome)
    if (message.type !== 'ready') return
    cancel()
    const [readyAt, used] = [clock.monotonic(), processorMs()]
    const look = () => {
      if (processorMs() - used > timeoutMs) {
        const what = `the config takes more than ${timeoutMs / 1_000} s to read, compile and evaluate`
        settled.resolve(refusal('timeout', `${what}${during(rule())}`, { rule: rule() }))
      } else if (clock.monotonic() - readyAt > timeoutMs * BUSY_FACTOR)
        settled.resolve(refusal('unavailable', 'the machine was too busy with others to examine the config'))
      else cancel = clock.after(LOOK_MS, look)
    }
    look()
  })
  worker.on('error', (error: Error & { readonly code?: string }) => {
    const isMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY'
    settled.resolve(
      isMemory
        ? refusal('memory', `the config takes more than ${memoryMb} MiB${during(rule())}`, { rule: rule() })
        : refusal('crash', `the thread failed: ${error.message}${during(rule())}`, { rule: rule() }),
    )
  })
  worker.on('exit', (code) =>
    settled.resolve(refusal('crash', `the thread ended with code ${code}${during(rule())}`, { rule: rule() })),
  )
  const outcome = await settled.promise
  cancel()
  await worker.terminate()
  return outcome
}

function during(rule: string | undefined): string {
  return rule === undefined ? '' : `, in rule ${rule}`
}
