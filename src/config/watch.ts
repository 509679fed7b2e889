// Keeps the config of a source current: sees changes, compiles them, and serves the last good snapshot meanwhile.

import { IntermixError } from '../kernel/errors.ts'
import type { LabelValue } from '../kernel/metrics/metric.ts'
import { CONFIG_LAST_RELOAD_OK, CONFIG_LOADS_TOTAL } from '../kernel/metrics/process.ts'
import type { Clock, Counter, Gauge, Logger, Meter } from '../kernel/ports.ts'
import { formatProblem, type Problem } from '../kernel/problem.ts'
import type { CompileSnapshotOptions } from './compile-context.ts'
import { type ConfigSource, UNREADABLE } from './config-source.ts'
import type { LoadedConfig } from './parse-text.ts'
import { inSlices, type Sliced } from './slices.ts'
import type { Snapshot } from './snapshot.ts'
import { SourceWatch } from './source-watch.ts'
import { type CompiledConfig, SnapshotCompiler } from './snapshot-compiler.ts'

export interface WatchedConfigOptions {
  readonly source: ConfigSource
  readonly compile: CompileSnapshotOptions
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** Hears of all that could be read, the first time and after each change, whether or not it is a config that can be used. */
  readonly onLoaded?: (loaded: LoadedConfig) => void
  /** How often the source is looked at when no hint came, in ms. Default 1000. */
  readonly pollMs?: number
  /** How long after a hint the source is read, in ms: editors write in several steps. Default 100. */
  readonly debounceMs?: number
}

/**
 * How the last attempt to load went: `rejected` for a config with errors, `unreadable` where the source or a part of it
 * could not be read, which is tried again, `failed` where the compiler itself did. `snapshotId` is the snapshot that is served.
 */
export interface ConfigStatus {
  readonly state: 'ok' | 'rejected' | 'unreadable' | 'failed'
  /** Errors and warnings of the last attempt. */
  readonly problems: readonly Problem[]
  /** When the served snapshot was loaded, in milliseconds since the epoch. */
  readonly loadedAt: number
  readonly snapshotId: string
}

type LoadOutcome = LabelValue<typeof CONFIG_LOADS_TOTAL, 'outcome'>
const MAX_LOGGED = 100

/**
 * A watched source of config. Its hints are only hints: a look at it at least every second decides. Loading is
 * done in slices, so that a process that serves meanwhile does not stand still.
 */
export class WatchedConfig {
  readonly #options: WatchedConfigOptions
  readonly #listeners = new Set<(snapshot: Snapshot) => void>()
  readonly #outcomes: ReadonlyMap<LoadOutcome, Counter>
  readonly #lastOk: Gauge
  readonly #watch: SourceWatch
  readonly #compiler: SnapshotCompiler
  #snapshot: Snapshot
  #status: ConfigStatus
  /** What is the status again when a config that could not be read turns out to be the one that was seen before. */
  #beforeUnreadable: ConfigStatus
  #fingerprint: string
  #digest: string

  private constructor(options: WatchedConfigOptions, first: FirstLoad) {
    this.#options = options
    const loads = options.meter.counter(CONFIG_LOADS_TOTAL)
    this.#outcomes = new Map(CONFIG_LOADS_TOTAL.labels.outcome.map((outcome) => [outcome, loads({ outcome })]))
    this.#lastOk = options.meter.gauge(CONFIG_LAST_RELOAD_OK)()
    this.#compiler = first.compiler
    this.#fingerprint = first.fingerprint
    this.#digest = first.digest
    this.#snapshot = first.snapshot
    this.#status = this.#applied(first.snapshot, first.problems)
    this.#beforeUnreadable = this.#status
    this.#watch = new SourceWatch({ ...options, look: () => this.#look() })
    this.#watch.start()
  }

  /**
   * Loads the config and starts to watch its source.
   * Rejects with `INVALID_CONFIG`, whose message lists every problem, when the config has errors.
   */
  static async open(options: WatchedConfigOptions): Promise<WatchedConfig> {
    const { source } = options
    const compiler = new SnapshotCompiler(options.compile)
    const fingerprint = await source.fingerprint()
    const loaded = await source.load()
    options.onLoaded?.(loaded)
    const { snapshot, problems } = await inSlices(compiler.compile(loaded), options.clock)
    if (snapshot !== undefined) {
      return new WatchedConfig(options, { compiler, fingerprint, digest: loaded.digest, snapshot, problems })
    }
    const list = problems.map(formatProblem).join('\n')
    throw new IntermixError('INVALID_CONFIG', `the config in ${source.name} has errors:\n${list}`)
  }

  /** The snapshot that is served now. */
  current(): Snapshot {
    return this.#snapshot
  }

  /** Calls back with each further snapshot; the returned function ends that. */
  onChange(callback: (snapshot: Snapshot) => void): () => void {
    this.#listeners.add(callback)
    return () => this.#listeners.delete(callback)
  }

  status(): ConfigStatus {
    return this.#status
  }

  /** Looks at the source now and applies what has changed; resolves when that is done. Never rejects. */
  async reload(): Promise<void> {
    await this.#watch.lookNow()
  }

  /** Ends watching; the last snapshot stays available. */
  close(): void {
    this.#watch.close()
    this.#listeners.clear()
  }

  async #look(): Promise<void> {
    try {
      await this.#loadChanges()
    } catch (error) {
      this.#failed('failed', [])
      this.#options.log.error({ err: error, served: this.#snapshot.id }, 'the config could not be compiled')
    }
  }

  async #loadChanges(): Promise<void> {
    const fingerprint = await this.#options.source.fingerprint()
    if (fingerprint === this.#fingerprint) return this.#readAgain()
    const loaded = await this.#options.source.load()
    if (this.#watch.closed) return
    const unreadable = loaded.problems.filter(({ code }) => code === UNREADABLE)
    if (unreadable.length > 0) return this.#cannotRead(unreadable)
    this.#fingerprint = fingerprint
    if (loaded.digest === this.#digest) return this.#readAgain()
    this.#digest = loaded.digest
    this.#options.onLoaded?.(loaded)
    const compiled = await inSlices(this.#compile(loaded), this.#options.clock)
    if (!this.#watch.closed) this.#take(compiled)
  }

  #compile(loaded: LoadedConfig): Sliced<CompiledConfig> {
    return this.#compiler.compile(loaded)
  }

  /** Nothing is wrong with the config as far as anybody knows: it is read again at the next look. */
  #cannotRead(problems: readonly Problem[]): void {
    const isNews = this.#status.state !== 'unreadable'
    this.#failed('unreadable', problems)
    if (!isNews) return
    this.#options.log.error(
      { problems: problems.length, served: this.#snapshot.id },
      'the config could not be read; the last one is served, and reading is tried again',
    )
    this.#logProblems(problems)
  }

  /** What could not be read is back as it was. */
  #readAgain(): void {
    if (this.#status.state !== 'unreadable') return
    this.#status = this.#beforeUnreadable
    this.#lastOk.set(this.#status.state === 'ok' ? 1 : 0)
    this.#options.log.info({ served: this.#snapshot.id }, 'the config can be read again and has not changed')
  }

  #take({ snapshot, problems }: CompiledConfig): void {
    if (snapshot === undefined) {
      this.#reject(problems)
      return
    }
    const changed = snapshot.id !== this.#snapshot.id
    if (changed) this.#snapshot = snapshot
    this.#outcomes.get(changed ? 'applied' : 'unchanged')?.add()
    this.#status = changed ? this.#applied(snapshot, problems) : { ...this.#status, state: 'ok', problems }
    this.#lastOk.set(1)
    if (!changed) return
    for (const listener of this.#listeners) {
      try {
        listener(snapshot)
      } catch (error) {
        this.#options.log.error({ error: IntermixError.from(error) }, 'a listener failed on the new config')
      }
    }
  }

  #applied(snapshot: Snapshot, problems: readonly Problem[]): ConfigStatus {
    const { log, clock } = this.#options
    this.#lastOk.set(1)
    log.info({ snapshot: snapshot.id, rules: snapshot.rules.length, warnings: problems.length }, 'config is in use')
    this.#logProblems(problems)
    return { state: 'ok', problems, loadedAt: clock.now(), snapshotId: snapshot.id }
  }

  #reject(problems: readonly Problem[]): void {
    this.#failed('rejected', problems)
    this.#options.log.error(
      { problems: problems.length, served: this.#snapshot.id },
      'config rejected, nothing changed',
    )
    this.#logProblems(problems)
  }

  #failed(state: 'rejected' | 'unreadable' | 'failed', problems: readonly Problem[]): void {
    if (this.#status.state !== 'unreadable') this.#beforeUnreadable = this.#status
    this.#outcomes.get(state)?.add()
    this.#lastOk.set(0)
    this.#status = { ...this.#status, state, problems }
  }

  #logProblems(problems: readonly Problem[]): void {
    for (const problem of problems.slice(0, MAX_LOGGED)) {
      const { severity, ...fields } = problem
      if (severity === 'error') this.#options.log.error(fields, formatProblem(problem))
      else this.#options.log.warn(fields, formatProblem(problem))
    }
  }
}

interface FirstLoad {
  readonly compiler: SnapshotCompiler
  readonly fingerprint: string
  readonly digest: string
  readonly snapshot: Snapshot
  readonly problems: readonly Problem[]
}
