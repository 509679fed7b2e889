// What operators ask of the counters of quotas: which are used most, how one stands, and to forget what was charged.

import type { LimitStanding } from '../adapter-kit/define-adapter.ts'
import type { Instance } from '../adapter-kit/instance.ts'
import { shortName } from '../adapter-kit/quota-limits.ts'
import type { InstanceConfig, Snapshot } from '../config/snapshot.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import { type DescriptorEntry, UNIT_SECONDS } from '../kernel/rate-limit.ts'
import type { RateLimitService } from '../kernel/services.ts'
import { nearest, suggest } from '../kernel/suggest.ts'
import { type CounterView, usageOf, viewOf, viewOfUsed } from '../quota/usage/counter-view.ts'
import type { QuotaUsage, UsageOrder, UsedCounter } from '../quota/usage/quota-usage.ts'
import type { PolicyState } from './handler-table.ts'
import type { RunningHandler } from './running-handler.ts'

/** The counters of one quota of a handler: one for each limit. */
interface HandlerCounters {
  readonly handler: string
  readonly quota: string
  readonly dimensions: Readonly<Record<string, string>>
}

interface DescriptorCounter {
  readonly domain: string
  readonly entries: readonly DescriptorEntry[]
}

export type CounterAddress = HandlerCounters | DescriptorCounter

export type QuotaQuestion =
  | { readonly action: 'top'; readonly by: UsageOrder; readonly limit: number; readonly handler?: string | undefined }
  | { readonly action: 'inspect' | 'reset'; readonly counter: CounterAddress }
  | { readonly action: 'resetAll'; readonly handler: string; readonly quota?: string | undefined }
  | { readonly action: 'resetAll'; readonly domain: string }

export interface QuotaAnswer {
  readonly counters: readonly CounterView[]
  /** How many counters something was charged to, of those that were reset. */
  readonly reset?: number
}

/** Rate limits by descriptors, where this process has some. */
export interface DescriptorCounters {
  /** Their handler, as far as metrics and operators are concerned. */
  readonly name: string
  readonly service: RateLimitService
  /** @param entries of one descriptor; all of the domain where there are none. @returns how many had something */
  reset(domain: string, entries?: readonly DescriptorEntry[]): Promise<number>
}

export interface QuotaCountersOptions {
  readonly state: () => PolicyState | undefined
  readonly usage: QuotaUsage
  readonly descriptors: DescriptorCounters | undefined
  readonly clock: Clock
  readonly timeoutMs: number
}

export class QuotaCounters {
  readonly #options: QuotaCountersOptions

  constructor(options: QuotaCountersOptions) {
    this.#options = options
  }

  /** @throws IntermixError NOT_FOUND, or INVALID_REQUEST, for what there is not; REDIS_UNAVAILABLE */
  async answer(question: QuotaQuestion): Promise<QuotaAnswer> {
    switch (question.action) {
      case 'top': {
        const handler = question.handler === undefined ? undefined : this.#handlerName(question.handler)
        const used = await this.#options.usage.top({ ...question, handler })
        return { counters: used.map(viewOfUsed) }
      }
      case 'resetAll':
        return { counters: [], reset: await this.#resetAll(question) }
      case 'inspect':
        return { counters: await this.#look(question.counter) }
      default:
        return await this.#reset(question.counter)
    }
  }

  async #resetAll(question: QuotaQuestion & { readonly action: 'resetAll' }): Promise<number> {
    if ('domain' in question) return await this.#descriptors().reset(question.domain)
    const { running, instances } = this.#handler(question.handler)
    const { quota } = question
    return await running.resetQuotas(quota === undefined ? undefined : instanceOf(quota, instances).name)
  }

  async #reset(counter: CounterAddress): Promise<QuotaAnswer> {
    if ('domain' in counter) {
      const reset = await this.#descriptors().reset(counter.domain, counter.entries)
      return { counters: await this.#look(counter), reset }
    }
    const { running, instance } = this.#instance(counter)
    const reset = await running.resetQuota(instance)
    return { counters: await this.#look(counter), reset }
  }

  async #look(counter: CounterAddress): Promise<CounterView[]> {
    if ('domain' in counter) return await this.#lookAtDescriptor(counter)
    const { clock, timeoutMs } = this.#options
    const { running, instance } = this.#instance(counter)
    const look = { amount: 0, bestEffort: false, deduplicationId: '' }
    const { limits = [] } = await running.quota(instance, look, clock.monotonic() + timeoutMs)
    return await this.#views(running.handler.name, limits, counter.dimensions)
  }

  async #lookAtDescriptor({ domain, entries }: DescriptorCounter): Promise<CounterView[]> {
    const { service, name } = this.#descriptors()
    const demand = { domain, descriptors: [{ entries, hitsAddend: 0 }], hitsAddend: 0 }
    const { statuses } = await service.shouldRateLimit(demand, this.#options)
    const status = statuses[0]
    if (status?.limit === undefined) {
      const text = entries.map(({ key, value }) => `${key}=${value}`).join(' ')
      throw new IntermixError('NOT_FOUND', `nothing limits ${text} in the domain ${domain}`)
    }
    const { requestsPerUnit: amount, unit } = status.limit
    const window = unit === undefined ? {} : { windowMs: UNIT_SECONDS[unit] * 1_000 }
    const times = { ...window, resetMs: status.resetSeconds * 1_000, retryAfterMs: 0 }
    const standing = { name: domain, amount, left: status.remaining, ...times }
    return await this.#views(name, [standing], Object.fromEntries(entries.map(({ key, value }) => [key, value])))
  }

  async #views(
    handler: string,
    limits: readonly LimitStanding[],
    values: Readonly<Record<string, string>>,
  ): Promise<CounterView[]> {
    const used = await this.#options.usage.of(handler)
    return limits.map((standing) => {
      const seen = used.find(({ name }) => name.limit === standing.name && isSame(name, values))
      return { ...viewOf(handler, standing, values), ...(seen === undefined ? {} : usageOf(seen)) }
    })
  }

  #descriptors(): DescriptorCounters {
    const { descriptors } = this.#options
    if (descriptors !== undefined) return descriptors
    throw new IntermixError('NOT_FOUND', 'this node has no rate limits by descriptors: it has no --ratelimit-config')
  }

  #state(): PolicyState {
    const state = this.#options.state()
    if (state === undefined) throw new IntermixError('NOT_READY', 'no config is loaded yet')
    return state
  }

  /** The full name of a handler that has quotas. */
  #handlerName(name: string): string {
    const { descriptors } = this.#options
    return name === descriptors?.name ? name : this.#handler(name).running.handler.name
  }

  /** A handler by its full name or, where that is enough, its own. */
  #handler(name: string): { readonly running: RunningHandler; readonly instances: readonly InstanceConfig[] } {
    const { snapshot, handlers } = this.#state()
    const known = quotasByHandler(snapshot)
    const found = known.has(name) ? [name] : [...known.keys()].filter((full) => shortName(full) === name)
    const [full = ''] = found
    const running = handlers.get(full)
    if (found.length === 1 && running !== undefined) return { running, instances: known.get(full) ?? [] }
    if (found.length > 1) throw new IntermixError('INVALID_REQUEST', `${name} may be one of ${found.join(', ')}`)
    const hint = suggest(name, known.keys())
    throw new IntermixError('NOT_FOUND', `no handler that has quotas is named ${JSON.stringify(name)}.${hint}`)
  }

  #instance({ handler, quota, dimensions }: HandlerCounters): {
    readonly running: RunningHandler
    readonly instance: Instance
  } {
    const { running, instances } = this.#handler(handler)
    const config = instanceOf(quota, instances)
    checkDimensions(config, dimensions)
    return { running, instance: { name: config.name, template: config.template.name, fields: { dimensions } } }
  }
}

function isSame({ values }: UsedCounter['name'], wanted: Readonly<Record<string, string>>): boolean {
  return values.length === Object.keys(wanted).length && values.every(([name, value]) => wanted[name] === value)
}

/** The quota instances that rules hand to each handler. */
function quotasByHandler({ rules }: Snapshot): Map<string, InstanceConfig[]> {
  const found = new Map<string, InstanceConfig[]>()
  for (const { handler, instances } of rules.flatMap(({ actions }) => actions)) {
    const quotas = instances.filter(({ template }) => template.variety === 'quota')
    const known = found.get(handler.name) ?? []
    const added = quotas.filter(({ name }) => !known.some((other) => other.name === name))
    if (quotas.length > 0) found.set(handler.name, [...known, ...added])
  }
  return found
}

function instanceOf(name: string, instances: readonly InstanceConfig[]): InstanceConfig {
  const found = instances.find((config) => config.name === name || shortName(config.name) === name)
  if (found !== undefined) return found
  const names = instances.map((config) => config.name)
  const hint = suggest(name, name.includes('.') ? names : names.map(shortName))
  throw new IntermixError('NOT_FOUND', `the handler has no quota that is named ${JSON.stringify(name)}.${hint}`)
}

function checkDimensions({ name, plan }: InstanceConfig, given: Readonly<Record<string, string>>): void {
  const field = plan.find((each) => each.name === 'dimensions')
  const known = field?.kind === 'map' ? field.entries.map(([key]) => key) : []
  const missing = known.filter((each) => given[each] === undefined)
  const unknown = Object.keys(given).filter((each) => !known.includes(each))
  if (missing.length === 0 && unknown.length === 0) return
  const has = known.length === 0 ? 'no dimensions' : `the dimensions ${known.join(', ')}`
  const [first = ''] = unknown
  const near = nearest(first, known).join(' or ')
  const what = missing.length > 0 ? `${missing.join(', ')} is missing` : `${first} is none of them`
  const meant = near === '' || missing.length > 0 ? '' : `; did you mean ${near}?`
  throw new IntermixError('INVALID_REQUEST', `${name} has ${has}: ${what}${meant}`)
}
