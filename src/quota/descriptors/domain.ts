// What envoyproxy/ratelimit's config says of one domain, and which limit a descriptor meets there.

import type { AwayPolicy } from '../../adapter-kit/limits.ts'
import type { DescriptorEntry, RateLimit } from '../../kernel/rate-limit.ts'

/** A limit as it is configured. */
export interface ConfiguredLimit extends RateLimit {
  readonly isUnlimited: boolean
  /** Over it, requests pass all the same. */
  readonly isShadow: boolean
  /** A request is refused for such limits only when all of them refuse. */
  readonly isQuota: boolean
  /** Names of limits that do not count beside this one. */
  readonly replaces: readonly string[]
  /** Whether metrics tell what is in descriptors apart: not at all, where a level says so, at every level. */
  readonly named: 'configured' | 'values' | 'detailed'
  /** From the domain down to where it stands. */
  readonly levels: readonly DescriptorLevel[]
}

/** One place in the tree of a domain. */
export interface DescriptorLevel {
  readonly key: string
  /** Empty where any value is meant. */
  readonly value: string
  /** Whether all values that its pattern takes share one counter. */
  readonly isShared: boolean
  readonly isValueNamed: boolean
  limit: ConfiguredLimit | undefined
  readonly below: DescriptorLevels
}

interface Pattern {
  /** What stands between its asterisks. */
  readonly parts: readonly string[]
  readonly level: DescriptorLevel
}

/** Levels that stand beside each other. */
export class DescriptorLevels {
  readonly #levels = new Map<string, DescriptorLevel>()
  /** In the order of the file. */
  readonly #patterns: Pattern[] = []

  /** Under its key, or its key and value. @returns what stands there already */
  add(name: string, level: DescriptorLevel): DescriptorLevel | undefined {
    const known = this.#levels.get(name)
    if (known !== undefined) return known
    this.#levels.set(name, level)
    if (name.includes('*')) this.#patterns.push({ parts: name.split('*'), level })
    return undefined
  }

  get isEmpty(): boolean {
    return this.#levels.size === 0
  }

  /** The level of key and value, else the first whose pattern takes them, else that of the key alone. */
  find({ key, value }: DescriptorEntry): DescriptorLevel | undefined {
    const name = `${key}_${value}`
    const exact = this.#levels.get(name)
    if (exact !== undefined) return exact
    for (const { parts, level } of this.#patterns) if (takes(parts, name)) return level
    return this.#levels.get(key)
  }
}

/** How the limits of a domain are charged. All of it is ours: envoyproxy/ratelimit has no such choice. */
export interface DomainCharging {
  /** `count`: refused hits count, too, as with envoyproxy/ratelimit. `all`: a request that is refused is charged nowhere. */
  readonly mode: 'count' | 'all'
  /** The promised error, as a share of the limit; 0 asks Redis for each hit. */
  readonly accuracy: number
  readonly away: AwayPolicy
}

export const DEFAULT_CHARGING: DomainCharging = { mode: 'count', accuracy: 0, away: 'share' }

export interface Domain {
  readonly name: string
  /** The file that it was read from. */
  readonly file: string
  readonly levels: DescriptorLevels
  readonly charging: DomainCharging
}

/**
 * The limit of a descriptor: that of the level at which its last entry is found. Where the descriptor goes deeper than the
 * config, or ends where no limit stands, there is none.
 */
export function limitOf({ levels }: Domain, entries: readonly DescriptorEntry[]): ConfiguredLimit | undefined {
  let beside = levels
  let found: DescriptorLevel | undefined
  for (const entry of entries) {
    found = beside.find(entry)
    if (found === undefined) return undefined
    beside = found.below
  }
  return found?.limit
}

/** Whether a text is these parts with anything, or nothing, in place of each asterisk. */
function takes(parts: readonly string[], text: string): boolean {
  const first = parts[0] ?? ''
  const last = parts.at(-1) ?? ''
  const end = text.length - last.length
  if (!text.startsWith(first) || !text.endsWith(last) || end < first.length) return false
  let at = first.length
  for (let number = 1; number < parts.length - 1; number++) {
    const part = parts[number] ?? ''
    const found = text.indexOf(part, at)
    if (found < 0 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}
