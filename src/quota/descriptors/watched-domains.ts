// Keeps the domains of a folder current. A domain that gets worse stays as it was when it was last good.

import { type ConfigSource, UNREADABLE } from '../../config/config-source.ts'
import { SourceWatch } from '../../config/source-watch.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { RATE_LIMIT_DOMAINS } from '../../kernel/metrics/quotas.ts'
import type { Clock, Gauge, Logger, Meter } from '../../kernel/ports.ts'
import { formatProblem, type Problem } from '../../kernel/problem.ts'
import type { Domain } from './domain.ts'
import { type LoadedDomains, loadDomains } from './load-domains.ts'

export interface WatchedDomainsOptions {
  readonly source: ConfigSource
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

const MAX_LOGGED = 100

export class WatchedDomains {
  readonly #options: WatchedDomainsOptions
  readonly #served: Gauge
  readonly #bad: Gauge
  readonly #watch: SourceWatch
  #domains: ReadonlyMap<string, Domain> = new Map()
  #quarantined: ReadonlySet<string> = new Set()
  #problems: readonly Problem[] = []
  #fingerprint = ''
  #digest = ''

  private constructor(options: WatchedDomainsOptions) {
    this.#options = options
    const domains = options.meter.gauge(RATE_LIMIT_DOMAINS)
    this.#served = domains({ state: 'served' })
    this.#bad = domains({ state: 'quarantined' })
    this.#watch = new SourceWatch({ ...options, look: () => this.#look() })
  }

  /** Rejects with INVALID_CONFIG where not one domain can be used. */
  static async open(options: WatchedDomainsOptions): Promise<WatchedDomains> {
    const watched = new WatchedDomains(options)
    await watched.reload()
    if (watched.#domains.size === 0) {
      const list = watched.#problems.map(formatProblem).join('\n')
      throw new IntermixError('INVALID_CONFIG', `no rate limits in ${options.source.name} can be used:\n${list}`)
    }
    watched.#watch.start()
    return watched
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

  /** How many can be used. */
  get size(): number {
    return this.#domains.size
  }

  /** Looks at the source now and applies what has changed. Never rejects. */
  async reload(): Promise<void> {
    await this.#watch.lookNow()
  }

  close(): void {
    this.#watch.close()
  }

  async #look(): Promise<void> {
    const { source, log } = this.#options
    try {
      const fingerprint = await source.fingerprint()
      if (fingerprint === this.#fingerprint) return
      const loaded = await source.load()
      // What passes by itself is looked at again, although nothing may have changed by then.
      if (!loaded.problems.some(({ code }) => code === UNREADABLE)) this.#fingerprint = fingerprint
      if (this.#watch.closed || loaded.digest === this.#digest) return
      this.#digest = loaded.digest
      this.#take(loadDomains(loaded))
    } catch (error) {
      log.error({ err: error }, 'the rate limits could not be loaded; the last ones are served')
    }
  }

  #take({ domains, quarantined, unreadable, problems }: LoadedDomains): void {
    const { log, source } = this.#options
    const next = new Map(domains)
    for (const [name, domain] of this.#domains) {
      const isLost = unreadable.has(domain.file) || unreadable.has(source.name)
      if (!next.has(name) && (quarantined.has(name) || isLost)) next.set(name, domain)
    }
    this.#domains = next
    this.#quarantined = quarantined
    this.#problems = problems
    this.#served.set(next.size)
    this.#bad.set(quarantined.size + unreadable.size)
    log.info({ domains: next.size, quarantined: [...quarantined] }, 'rate limits are in use')
    for (const problem of problems.slice(0, MAX_LOGGED)) {
      const { severity, ...fields } = problem
      log[severity === 'error' ? 'error' : 'warn'](fields, formatProblem(problem))
    }
  }
}
