// Random domains of envoyproxy/ratelimit's config, all of them valid there.

import { type Picker, times } from '../../properties/random.ts'

export interface RandomLimit {
  readonly unit?: string
  readonly requests_per_unit?: number
  readonly unlimited?: true
  readonly name?: string
  readonly replaces?: readonly { readonly name: string }[]
}

export interface RandomLevel {
  readonly key: string
  readonly value?: string
  readonly rate_limit?: RandomLimit
  readonly descriptors?: readonly RandomLevel[]
  readonly [flag: `${string}_${string}`]: unknown
}

export interface RandomDomain {
  readonly domain: string
  readonly descriptors: readonly RandomLevel[]
}

export interface DomainChoices {
  /** Whether it may use what came after the version that Go builds: `*` anywhere in a value, `quota_mode`. */
  readonly isCurrent: boolean
  /** Instead of what has the metrics of a limit called otherwise than it is configured: there, that takes metadata away. */
  readonly hasMetadata: boolean
  /** Units that limits may have. */
  readonly units: readonly [string, ...string[]]
}

// No underscore in any of them: there, `a_b` = `c` and `a` = `b_c` are one counter.
export const KEYS = ['a', 'b', 'path', 'k-1'] as const
export const VALUES = ['x', 'y', 'x1', 'x12', 'yx', '/api/v1', '10', 'true', 'ü', ' ', 'x*', '*', ''] as const
const PATTERNS = ['x*', '*', '/api/*', 'x1*'] as const
const NEW_PATTERNS = ['*x', 'x*2', '*1*', '/*/v1', 'x**', '*x*x*'] as const
const NAMES = ['one', 'two', 'three'] as const
// A map in one of them only: there, maps that are joined stay so in the config.
const METADATA = [{ tier: 'free', list: [1, { deep: true }, null] }, { tier: 'paid', of: { share: 0.5 } }, {}] as const
const MOST = 4_294_967_295
const DEEPEST = 3

export function randomDomain(domain: string, picker: Picker, choices: DomainChoices): RandomDomain {
  return { domain, descriptors: levels(picker, choices, 1) }
}

function levels(picker: Picker, choices: DomainChoices, depth: number): RandomLevel[] {
  const found = new Map<string, RandomLevel>()
  for (const level of times(1 + picker.int(depth === 1 ? 6 : 4), () => randomLevel(picker, choices, depth)))
    found.set(level.value === undefined ? level.key : `${level.key}_${level.value}`, level)
  return [...found.values()]
}

function randomLevel(picker: Picker, choices: DomainChoices, depth: number): RandomLevel {
  const patterns = choices.isCurrent && picker.chance(0.5) ? NEW_PATTERNS : PATTERNS
  const key = picker.chance(choices.hasMetadata ? 0 : 0.04) ? 'k*' : picker.of(KEYS)
  // A pattern within a name, not at its end.
  const isNew = key === 'k*' && !choices.isCurrent
  const value = isNew || picker.chance(0.35) ? undefined : picker.chance(0.45) ? picker.of(patterns) : picker.of(VALUES)
  const isLeaf = depth === DEEPEST || picker.chance(0.5)
  const flag = (name: string, share: number) => (picker.chance(share) ? { [name]: true } : {})
  return {
    key,
    ...(value === undefined || value === '' ? {} : { value }),
    ...(picker.chance(isLeaf ? 0.9 : 0.5) ? { rate_limit: randomLimit(picker, choices) } : {}),
    ...(isLeaf ? {} : { descriptors: levels(picker, choices, depth + 1) }),
    ...flag('shadow_mode', 0.15),
    ...flag('detailed_metric', choices.hasMetadata ? 0 : 0.15),
    ...flag('value_to_metric', choices.hasMetadata ? 0 : 0.15),
    ...(value?.includes('*') === true ? flag('share_threshold', 0.5) : {}),
    ...(choices.isCurrent ? flag('quota_mode', 0.2) : {}),
    ...(choices.hasMetadata && picker.chance(0.5) ? { metadata: picker.of(METADATA) } : {}),
  }
}

function randomLimit(picker: Picker, { units }: DomainChoices): RandomLimit {
  const name = picker.chance(0.4) ? picker.of(NAMES) : undefined
  const others = NAMES.filter((each) => each !== name && picker.chance(0.5))
  const naming = {
    ...(name === undefined ? {} : { name }),
    ...(others.length > 0 && picker.chance(0.4) ? { replaces: others.map((each) => ({ name: each })) } : {}),
  }
  if (picker.chance(0.1)) return { unlimited: true, ...naming }
  const unit = picker.of(units)
  return {
    unit: picker.chance(0.1) ? unit.toUpperCase() : unit,
    requests_per_unit: picker.chance(0.05) ? MOST : picker.int(8),
    ...naming,
  }
}
