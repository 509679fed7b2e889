// Keeps the domains of a folder current. A domain that gets worse stays as it was when it was last good.

import { type ConfigSource, UNREADABLE } from '../../config/config-source.ts'
import type { LoadedConfig } from '../../config/parse-text.ts'
import { SourceWatch } from '../../config/source-watch.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { RATE_LIMIT_DOMAINS } from '../../kernel/metrics/quotas.ts'
import type { Clock, Gauge, Logger, Meter } from '../../kernel/ports.ts'
import { formatProblem, type Problem } from '../../kernel/problem.ts'
import type { Domain } from './domain.ts'
import { loadDomains } from './load-domains.ts'

export interface WatchedDomainsOptions {
  /** Of domains only; `undefined` where there is none. */
  readonly source: ConfigSource | undefined
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

const MAX_LOGGED = 100

export class WatchedDomains {
  readonly #options: WatchedDomainsOptions
  readonly #served: Gauge
  readonly #bad: Gauge
  readonly #watch: SourceWatch | undefined
  #domains: ReadonlyMap<string, Domain> = new Map()
  #quarantined: ReadonlySet<string> = new Set()
  #problems: readonly Problem[] = []
  #fingerprint = ''
  #own: LoadedConfig | undefined
  #config: LoadedConfig | undefined
  #isStarted = false

  constructor(options: WatchedDomainsOptions) {
    this.#options = options
    const { source } = options
    const domains = options.meter.gauge(RATE_LIMIT_DOMAINS)
    this.#served = domains({ state: 'served' })
    this.#bad = domains({ state: 'quarantined' })
    this.#watch = source && new SourceWatch({ ...options, source, look: () => this.#look(source) })
  }

  /** Rejects with INVALID_CONFIG where there is a source and not one domain can be used. */
  async start(): Promise<void> {
    const { source } = this.#options
    await this.reload()
    this.#isStarted = true
    this.#apply()
    if (source !== undefined && this.#domains.size === 0) {
      const list = this.#problems.map(formatProblem).join('\n')
      throw new IntermixError('INVALID_CONFIG', `no rate limits in ${source.name} can be used:\n${list}`)
    }
    this.#watch?.start()
  }

  /** Takes the domains that lie between the documents of a config of rules, in place of those that lay there before. */
  takeFrom(config: LoadedConfig): void {
    const before = this.#config
    this.#config = config
    if (this.#isStarted && (before === undefined || !isSame(before, config))) this.#apply()
  }

  /**
   * The domain of a name; `undefined` where there is none, and so no limit.
   * @throws IntermixError NOT_READY for one that has been there with errors only: what its limits are is not known
   */
  domain(name: string): Domain | undefined {
    const domain = this.#domains.get(name)
    if (domain !== undefined || !this.#quarantined.has(name)) return domain
    throw new IntermixError(
      'NOT_READY',
      `the limits of the domain "${name}" have errors; see the log, or intermix validate`,
    )
  }

  /** For people who look into the process. */
  view(): object {
    return { served: [...this.#domains.keys()], quarantined: [...this.#quarantined], problems: this.#problems }
  }

  /** Whether there are none, not even some with errors. */
  get isEmpty(): boolean {
    return this.#domains.size + this.#quarantined.size === 0
  }

  /** Looks at the source now and applies what has changed. Never rejects. */
  async reload(): Promise<void> {
    await this.#watch?.lookNow()
  }

  close(): void {
    this.#watch?.close()
  }

  async #look(source: ConfigSource): Promise<void> {
    const { log } = this.#options
    try {
      const fingerprint = await source.fingerprint()
      if (fingerprint === this.#fingerprint) return
      const loaded = await source.load()
      // What passes by itself is looked at again, although nothing may have changed by then.
      if (!loaded.problems.some(({ code }) => code === UNREADABLE)) this.#fingerprint = fingerprint
      if (this.#watch?.closed === true || loaded.digest === this.#own?.digest) return
      this.#own = loaded
      if (this.#isStarted) this.#apply()
    } catch (error) {
      log.error({ err: error }, 'the rate limits could not be loaded; the last ones are served')
    }
  }

  #apply(): void {
    const { log, source } = this.#options
    const { domains, quarantined, unreadable, problems } = loadDomains({ own: this.#own, config: this.#config })
    const wasEmpty = this.isEmpty
    const next = new Map(domains)
    for (const [name, domain] of this.#domains) {
      const isLost = unreadable.has(domain.file) || (source !== undefined && unreadable.has(source.name))
      if (!next.has(name) && (quarantined.has(name) || isLost)) next.set(name, domain)
    }
    this.#domains = next
    this.#quarantined = quarantined
    this.#problems = problems
    const broken = new Set(problems.filter(({ severity }) => severity === 'error').map(({ file }) => file))
    this.#served.set(next.size)
    this.#bad.set(quarantined.size + [...unreadable].filter((file) => broken.has(file)).length)
    if (!wasEmpty || !this.isEmpty)
      log.info({ domains: next.size, quarantined: [...quarantined] }, 'rate limits are in use')
    for (const problem of problems.slice(0, MAX_LOGGED)) {
      const { severity, ...fields } = problem
      log[severity === 'error' ? 'error' : 'warn'](fields, formatProblem(problem))
    }
  }
}

/** Whether the domains of two loads of one config are the same: of files that did not change, the nodes are the same. */
function isSame({ domains: one }: LoadedConfig, { domains: other }: LoadedConfig): boolean {
  return (
    one.documents.length === other.documents.length &&
    one.documents.every(({ root }, at) => root === other.documents[at]?.root) &&
    one.problems.length === other.problems.length &&
    one.problems.every((problem, at) => problem === other.problems[at])
  )
}
