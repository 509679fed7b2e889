// Keeps the config of a folder current: sees changes, compiles them, and serves the last good snapshot meanwhile.

import { type FSWatcher, watch } from 'node:fs'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Counter, Gauge, Logger, Meter } from '../kernel/ports.ts'
import { formatProblem, type Problem } from '../kernel/problem.ts'
import type { CompileSnapshotOptions } from './compile-context.ts'
import { type CompiledConfig, compileSnapshot } from './compile-snapshot.ts'
import { folderFingerprint, loadConfigFolder } from './load.ts'
import type { Snapshot } from './snapshot.ts'

export interface ConfigSourceOptions {
  readonly folder: string
  readonly compile: CompileSnapshotOptions
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** How often the folder is looked at when no event came, in ms. Default 1000. */
  readonly pollMs?: number
  /** How long after an event the folder is read, in ms: editors write in several steps. Default 100. */
  readonly debounceMs?: number
}

/** How the last attempt to load went; `snapshotId` is the snapshot that is served. */
export interface ConfigStatus {
  readonly state: 'ok' | 'rejected'
  /** Errors and warnings of the last attempt. */
  readonly problems: readonly Problem[]
  /** When the served snapshot was loaded, in milliseconds since the epoch. */
  readonly loadedAt: number
  readonly snapshotId: string
}

const MAX_LOGGED = 100

/** A watched config folder. File events are only hints: a look at the folder at least every second decides. */
export class ConfigSource {
  readonly #options: ConfigSourceOptions
  readonly #listeners = new Set<(snapshot: Snapshot) => void>()
  readonly #outcomes: Readonly<Record<'applied' | 'unchanged' | 'rejected', Counter>>
  readonly #lastOk: Gauge
  readonly #watcher: FSWatcher | undefined
  #snapshot: Snapshot
  #status: ConfigStatus
  #fingerprint: string
  #digest: string
  #looking: Promise<void> | undefined
  #lookAgain = false
  #cancelPoll: () => void = () => undefined
  #cancelDebounce: () => void = () => undefined
  #closed = false

  private constructor(options: ConfigSourceOptions, first: FirstLoad) {
    this.#options = options
    const loads = options.meter.counter({
      name: 'config_loads_total',
      help: 'Attempts to load a changed config, by outcome (applied, unchanged, rejected).',
      labels: ['outcome'],
    })
    this.#outcomes = { applied: loads('applied'), unchanged: loads('unchanged'), rejected: loads('rejected') }
    this.#lastOk = options.meter.gauge({
      name: 'config_last_reload_ok',
      help: '1 when the last config that was seen is served, 0 when it was rejected and an older one is.',
    })()
    this.#fingerprint = first.fingerprint
    this.#digest = first.digest
    this.#snapshot = first.snapshot
    this.#status = this.#applied(first.snapshot, first.problems)
    this.#watcher = this.#watch()
    this.#schedulePoll()
  }

  /**
   * Loads the folder and starts to watch it.
   * Rejects with `INVALID_CONFIG`, whose message lists every problem, when the config has errors.
   */
  static async open(options: ConfigSourceOptions): Promise<ConfigSource> {
    const fingerprint = await folderFingerprint(options.folder)
    const loaded = await loadConfigFolder(options.folder)
    const { snapshot, problems } = compileSnapshot(loaded, options.compile)
    if (snapshot !== undefined) {
      return new ConfigSource(options, { fingerprint, digest: loaded.digest, snapshot, problems })
    }
    const list = problems.map(formatProblem).join('\n')
    throw new IntermixError('INVALID_CONFIG', `the config in ${options.folder} has errors:\n${list}`)
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

  /** Looks at the folder now and applies what has changed; resolves when that is done. Never rejects. */
  async reload(): Promise<void> {
    this.#lookAgain = true
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    await this.#looking
  }

  /** Ends watching; the last snapshot stays available. */
  close(): void {
    this.#closed = true
    this.#watcher?.close()
    this.#cancelPoll()
    this.#cancelDebounce()
    this.#listeners.clear()
  }

  async #look(): Promise<void> {
    while (this.#lookAgain && !this.#closed) {
      this.#lookAgain = false
      try {
        await this.#loadChanges()
      } catch (error) {
        this.#options.log.error({ error: IntermixError.from(error) }, 'the config folder could not be looked at')
      }
    }
  }

  async #loadChanges(): Promise<void> {
    const fingerprint = await folderFingerprint(this.#options.folder)
    if (fingerprint === this.#fingerprint) return
    const loaded = await loadConfigFolder(this.#options.folder)
    if (this.#closed) return
    this.#fingerprint = fingerprint
    if (loaded.digest === this.#digest) return
    this.#digest = loaded.digest
    this.#take(compileSnapshot(loaded, this.#options.compile))
  }

  #take({ snapshot, problems }: CompiledConfig): void {
    if (snapshot === undefined) {
      this.#reject(problems)
      return
    }
    const changed = snapshot.id !== this.#snapshot.id
    if (changed) this.#snapshot = snapshot
    this.#outcomes[changed ? 'applied' : 'unchanged'].add()
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
    this.#outcomes.rejected.add()
    this.#lastOk.set(0)
    this.#status = { ...this.#status, state: 'rejected', problems }
    this.#options.log.error(
      { problems: problems.length, served: this.#snapshot.id },
      'config rejected, nothing changed',
    )
    this.#logProblems(problems)
  }

  #logProblems(problems: readonly Problem[]): void {
    for (const problem of problems.slice(0, MAX_LOGGED)) {
      const { severity, ...fields } = problem
      if (severity === 'error') this.#options.log.error(fields, formatProblem(problem))
      else this.#options.log.warn(fields, formatProblem(problem))
    }
  }

  #watch(): FSWatcher | undefined {
    const { folder, log } = this.#options
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#soon())
      watcher.on('error', (error) => log.warn({ error }, 'file events ended; the config folder is polled'))
      return watcher
    } catch (error) {
      log.warn({ error }, 'no file events here; the config folder is polled')
      return undefined
    }
  }

  #soon(): void {
    if (this.#closed) return
    this.#cancelDebounce()
    this.#cancelDebounce = this.#options.clock.after(this.#options.debounceMs ?? 100, () => void this.reload())
  }

  #schedulePoll(): void {
    if (this.#closed) return
    this.#cancelPoll = this.#options.clock.after(this.#options.pollMs ?? 1000, () => {
      void this.reload().then(() => this.#schedulePoll())
    })
  }
}

interface FirstLoad {
  readonly fingerprint: string
  readonly digest: string
  readonly snapshot: Snapshot
  readonly problems: readonly Problem[]
}
