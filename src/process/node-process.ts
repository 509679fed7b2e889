// One of a node's serving processes as its parent sees it: started, listened to, started again when it ends, ended.

import { IntermixError } from '../kernel/errors.ts'
import { within } from '../kernel/deadline.ts'
import type { Clock, Logger } from '../kernel/ports.ts'
import type { Settings } from '../settings/settings.ts'
import { processName, processSettings } from '../settings/process-settings.ts'
import { type Channel, ProcessLink } from './process-link.ts'
import {
  type Announcement,
  HEALTH,
  type HealthAnswer,
  SIBLINGS,
  type SiblingQuestion,
  START,
  START_FAILED,
  STARTED,
  STOP,
} from './process-messages.ts'
import { Restarts } from './restarts.ts'

export interface ProcessEnd {
  readonly code: number | undefined
  readonly signal: string | undefined
}

/** A process that was just created; it waits for its order. */
export interface SpawnedProcess {
  readonly pid: number | undefined
  readonly channel: Channel
  /** Resolves also where it could not be created. */
  readonly ended: Promise<ProcessEnd>
  kill(signal: 'SIGKILL'): void
}

export type EndReason = 'crash' | 'start' | 'silent' | 'signal'

/** Why a process could not start: what it said of it, or how it ended without a word. */
export interface StartFailed {
  readonly failed: string
  readonly code: number
}

export interface NodeProcessOptions {
  readonly number: number
  /** Of the node. */
  readonly nodeId: string
  readonly spawn: () => SpawnedProcess
  readonly clock: Clock
  readonly log: Logger
  /** Answers what it asks of the others. */
  readonly siblings: (question: SiblingQuestion) => unknown
  /** Called when it is there for the first time, and when it is back. */
  readonly onStarted: (announcement: Announcement) => void
  readonly onEnded: (reason: EndReason) => void
}

const BEAT_MS = 500
const BEAT_TIMEOUT_MS = 1_000
/** Who has not answered for so long counts as silent: nothing is expected of it for now. */
const SILENT_MS = 2_000
/** And for so long as hanging for good: it is killed, for what answers no questions serves no requests. */
const HANGS_MS = 30_000

export class NodeProcess {
  readonly #options: NodeProcessOptions
  readonly #log: Logger
  readonly #restarts = new Restarts()
  readonly #first = Promise.withResolvers<Announcement | StartFailed>()
  #current: { readonly spawned: SpawnedProcess; readonly link: ProcessLink } | undefined
  #started = false
  #stopping = false
  /** Whether it is started again although it has never served. */
  #again = false
  #hangs = false
  #heardAt = 0
  #settings: Settings | undefined
  #failure: string | undefined
  #health: HealthAnswer | undefined
  #cancelStart = () => {}
  #cancelBeat = () => {}

  constructor(options: NodeProcessOptions) {
    this.#options = options
    this.#log = options.log.child({ of: options.number })
  }

  get name(): string {
    return processName(this.#options.nodeId, this.#options.number)
  }

  get number(): number {
    return this.#options.number
  }

  get state(): 'serving' | 'starting' | 'silent' | 'away' {
    if (this.#current === undefined) return 'away'
    if (this.#options.clock.attentive() - this.#heardAt > SILENT_MS) return 'silent'
    return this.#started && this.#health?.ready === true ? 'serving' : 'starting'
  }

  /** Of the process that there is now. */
  get pid(): number | undefined {
    return this.#current?.spawned.pid
  }

  /** When it was heard of last, on the attentive clock. */
  get heardAt(): number {
    return this.#heardAt
  }

  /** What it said of itself last; `undefined` where it is not there. */
  get health(): HealthAnswer | undefined {
    return this.#health
  }

  /** Whether it ends again and again, however often it is started. */
  get hopeless(): boolean {
    return this.#current === undefined && this.#restarts.hopeless
  }

  /** How it ended last, in words. */
  get failure(): string | undefined {
    return this.#failure
  }

  /** Starts it with the settings of its node; unless `again`, once only. @returns how the first start went. */
  async start(settings: Settings, again: boolean): Promise<Announcement | StartFailed> {
    this.#settings = processSettings(settings, this.number)
    this.#again = again
    this.#start()
    return await this.#first.promise
  }

  /** Asks it. Rejects as a link does, and with NOT_READY where it is not there. */
  async ask(name: string, value: unknown, timeoutMs: number): Promise<unknown> {
    if (this.#current === undefined) throw new IntermixError('NOT_READY', `process ${this.number} is not running`)
    return await this.#current.link.ask(name, value, timeoutMs)
  }

  tell(name: string, value: unknown): void {
    this.#current?.link.tell(name, value)
  }

  /** Lets it finish; after `deadlineMs` it is killed. @returns whether it ended well in time. */
  async stop(deadlineMs: number): Promise<boolean> {
    this.#stopping = true
    this.#cancelStart()
    this.#cancelBeat()
    if (this.#current === undefined) return true
    const { spawned, link } = this.#current
    link.tell(STOP)
    const ended = spawned.ended.then(({ code }) => code === 0)
    return await within(this.#options.clock, deadlineMs, ended, () => {
      this.#log.error({ pid: spawned.pid }, 'a process of this node did not end in time and is killed')
      spawned.kill('SIGKILL')
      return false
    })
  }

  kill(): void {
    this.#stopping = true
    this.#current?.spawned.kill('SIGKILL')
  }

  #start(): void {
    const { spawn, clock, siblings } = this.#options
    const startedAt = clock.monotonic()
    const spawned = spawn()
    const link = new ProcessLink(spawned.channel, clock)
    link.answer(STARTED, (announcement) => this.#onStarted(announcement as Announcement))
    link.answer(START_FAILED, (text) => {
      this.#failure = text as string
    })
    link.answer(SIBLINGS, (question) => siblings(question as SiblingQuestion))
    this.#current = { spawned, link }
    this.#failure = undefined
    this.#hangs = false
    this.#heardAt = clock.attentive()
    void spawned.ended.then((end) => this.#onEnded(end, clock.monotonic() - startedAt))
    link.tell(START, this.#settings)
    void this.#beat(link)
  }

  #onStarted(announcement: Announcement): void {
    this.#started = true
    this.#again = true
    this.#health = announcement.health
    this.#first.resolve(announcement)
    this.#options.onStarted(announcement)
  }

  #onEnded(end: ProcessEnd, livedMs: number): void {
    const { clock, onEnded } = this.#options
    const reason = this.#reasonOf(end)
    const pid = this.#current?.spawned.pid
    this.#cancelBeat()
    this.#current = undefined
    this.#health = undefined
    this.#started = false
    this.#failure ??= `it ended by ${end.signal ?? `exit code ${end.code}`}; its output says more`
    this.#first.resolve({ failed: this.#failure, code: end.code === undefined || end.code === 0 ? 1 : end.code })
    if (this.#stopping || !this.#again) return
    const againMs = this.#restarts.ended(livedMs)
    this.#cancelStart = clock.after(againMs, () => this.#start())
    const facts = { pid, reason, ...end, row: this.#restarts.row, againMs, failure: this.#failure }
    this.#log.error(facts, 'a process of this node has ended, and will be started again; the others serve on')
    onEnded(reason)
  }

  #reasonOf({ code }: ProcessEnd): EndReason {
    if (this.#hangs) return 'silent'
    if (!this.#started) return 'start'
    // It ends with 0 when a signal told it to.
    return code === 0 ? 'signal' : 'crash'
  }

  /** Hears every moment whether it is alive. One that does not know the question yet is. */
  async #beat(link: ProcessLink): Promise<void> {
    const { clock } = this.#options
    const answer = await link.ask(HEALTH, undefined, BEAT_TIMEOUT_MS).catch((error: unknown) => {
      return IntermixError.from(error).code === 'DEADLINE_EXCEEDED' ? 'silent' : undefined
    })
    if (this.#current?.link !== link || this.#stopping) return
    if (answer !== 'silent') {
      this.#heardAt = clock.attentive()
      this.#health = answer as HealthAnswer | undefined
    } else if (clock.attentive() - this.#heardAt > HANGS_MS && !this.#hangs) {
      this.#hangs = true
      this.#log.error({ pid: this.#current.spawned.pid }, 'a process of this node does not answer and is killed')
      this.#current.spawned.kill('SIGKILL')
    }
    this.#cancelBeat = clock.after(BEAT_MS, () => void this.#beat(link))
  }
}
