// All serving processes of a node, as one: asked together, watched together, ended together.

import { IntermixError } from '../kernel/errors.ts'
import {
  NODE_CONFIGS,
  NODE_PROCESS_ENDS_TOTAL,
  NODE_PROCESSES,
  NODE_PROCESSES_MEASURED,
} from '../kernel/metrics/process.ts'
import type { Clock, Logger } from '../kernel/ports.ts'
import type { SiblingAnswers } from '../kernel/siblings.ts'
import { MergedMetrics, type MetricsSnapshot } from '../observe/merged-metrics.ts'
import type { PrometheusMeter } from '../observe/meter.ts'
import type { Settings } from '../settings/settings.ts'
import { NodeProcess, type SpawnedProcess, type StartFailed } from './node-process.ts'
import { type Announcement, METRICS, SIBLING, type SiblingQuestion } from './process-messages.ts'

export interface NodeProcessesOptions {
  readonly settings: Pick<Settings, 'nodeId' | 'processes'>
  readonly spawn: () => SpawnedProcess
  readonly clock: Clock
  readonly log: Logger
  readonly meter: PrometheusMeter
  /** Called whenever a process serves, for the first time or again. */
  readonly onStarted: (process: NodeProcess, announcement: Announcement) => void
}

/** What some processes answered, by process, and who did not. */
interface Answers {
  readonly answers: ReadonlyMap<NodeProcess, unknown>
  readonly silent: readonly NodeProcess[]
}

const ANSWER_TIMEOUT_MS = 2_000

export class NodeProcesses {
  readonly all: readonly NodeProcess[]
  readonly #options: NodeProcessesOptions
  readonly #merged = new MergedMetrics()
  readonly #gaveUp = Promise.withResolvers<StartFailed>()

  constructor(options: NodeProcessesOptions) {
    const { settings, spawn, clock, log, meter } = options
    this.#options = options
    const ends = meter.counter(NODE_PROCESS_ENDS_TOTAL)
    this.all = Array.from({ length: settings.processes }, (_, at): NodeProcess => {
      const created: NodeProcess = new NodeProcess({
        number: at + 1,
        nodeId: settings.nodeId,
        spawn,
        clock,
        log,
        siblings: (question) => this.#askOthers(created, question),
        onStarted: (announcement) => options.onStarted(created, announcement),
        onEnded: (reason) => {
          ends({ reason }).add()
          this.#merged.end(String(created.number))
          this.#judge(created)
        },
      })
      return created
    })
  }

  /**
   * Starts the first process, and when it serves the others, since what is wrong for one mostly is for all. Resolves when
   * each has served or ended once.
   * @returns what the first said.
   */
  async start(settings: Settings): Promise<Announcement | StartFailed> {
    const [first, ...others] = this.all
    const started = (await first?.start(settings, false)) ?? { failed: 'no process was wanted', code: 1 }
    if (!('failed' in started)) await Promise.all(others.map((process) => process.start(settings, true)))
    return started
  }

  /** Resolves, with words for people, when every process has ended again and again and none is left. */
  get gaveUp(): Promise<StartFailed> {
    return this.#gaveUp.promise
  }

  /** Asks all that run. */
  async ask(name: string, value: unknown, timeoutMs = ANSWER_TIMEOUT_MS): Promise<Answers> {
    return await askEach(this.all, name, value, timeoutMs)
  }

  /** Asks one that serves: that which was heard of last. */
  async askOne(name: string, value: unknown, timeoutMs: number): Promise<unknown> {
    const [newest] = this.all.filter(({ state }) => state === 'serving').toSorted((a, b) => b.heardAt - a.heardAt)
    if (newest === undefined) throw new IntermixError('NOT_READY', 'no process of this node serves now')
    return await newest.ask(name, value, timeoutMs)
  }

  tell(name: string, value: unknown): void {
    for (const process of this.all) process.tell(name, value)
  }

  /** The metrics of the node in the Prometheus text format. */
  async renderMetrics(): Promise<string> {
    const { meter } = this.#options
    const { answers } = await this.ask(METRICS, undefined)
    const fresh = new Map(
      [...answers].flatMap(([{ number }, metrics]) =>
        metrics === undefined ? [] : [[String(number), metrics as MetricsSnapshot] as const],
      ),
    )
    meter.gauge(NODE_PROCESSES_MEASURED)().set(fresh.size)
    const states = meter.gauge(NODE_PROCESSES)
    for (const state of NODE_PROCESSES.labels.state) {
      states({ state }).set(this.all.filter((process) => process.state === state).length)
    }
    meter
      .gauge(NODE_CONFIGS)()
      .set(new Set(this.all.flatMap(({ health }) => health?.config ?? [])).size)
    return await this.#merged.render(fresh, await meter.snapshot())
  }

  /** @returns whether all ended well within `deadlineMs`. */
  async stop(deadlineMs: number): Promise<boolean> {
    return (await Promise.all(this.all.map((process) => process.stop(deadlineMs)))).every(Boolean)
  }

  kill(): void {
    for (const process of this.all) process.kill()
  }

  async #askOthers(asker: NodeProcess, question: SiblingQuestion): Promise<SiblingAnswers> {
    const others = this.all.filter((process) => process !== asker)
    const { answers, silent } = await askEach(others, SIBLING, question, ANSWER_TIMEOUT_MS)
    return {
      answers: new Map([...answers].map(([{ name }, answer]) => [name, answer])),
      silent: silent.map(({ name }) => name),
    }
  }

  #judge({ failure }: NodeProcess): void {
    if (!this.all.every(({ hopeless }) => hopeless)) return
    this.#gaveUp.resolve({
      failed: `every process of this node ends again and again; the last one: ${failure}`,
      code: 1,
    })
  }
}

/** One that is away has nothing to say, and one that does not know the question answers `undefined`. */
async function askEach(
  processes: readonly NodeProcess[],
  name: string,
  value: unknown,
  timeoutMs: number,
): Promise<Answers> {
  const answers = new Map<NodeProcess, unknown>()
  const silent: NodeProcess[] = []
  const asked = processes.map(async (process) => {
    try {
      answers.set(process, await process.ask(name, value, timeoutMs))
    } catch (error) {
      const { code } = IntermixError.from(error)
      if (code === 'NOT_FOUND') answers.set(process, undefined)
      else if (code !== 'NOT_READY') silent.push(process)
    }
  })
  await Promise.all(asked)
  return { answers, silent }
}
