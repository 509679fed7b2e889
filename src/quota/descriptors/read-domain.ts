// Reads one document of envoyproxy/ratelimit's config, with the rules that it has, and tells all that is wrong.

import { AWAY_POLICIES } from '../../adapter-kit/limits.ts'
import type { ConfigNode, ListNode, MapNode, ScalarNode } from '../../config/config-node.ts'
import { Fields } from '../../config/fields.ts'
import { placeOf, type ProblemList } from '../../config/problem-list.ts'
import { type LimitMetadata, type MetadataValue, RATE_UNITS, type RateUnit } from '../../kernel/rate-limit.ts'
import {
  type ConfiguredLimit,
  DEFAULT_CHARGING,
  type DescriptorLevel,
  DescriptorLevels,
  type Domain,
  type DomainCharging,
} from './domain.ts'

const DOMAIN = ['domain', 'descriptors', 'intermix'] as const
const DESCRIPTOR = [
  'key',
  'value',
  'rate_limit',
  'descriptors',
  'shadow_mode',
  'quota_mode',
  'detailed_metric',
  'value_to_metric',
  'share_threshold',
  'metadata',
] as const
const LIMIT = ['requests_per_unit', 'unit', 'unlimited', 'name', 'replaces'] as const
const REPLACED = ['name'] as const
const CHARGING = ['charge', 'accuracy', 'redis_away'] as const
const MOST_REQUESTS = 0xffff_ffff
const ACCURACY = /^\d{1,2}(\.\d+)?%$/

type DescriptorFields = Fields<(typeof DESCRIPTOR)[number]>

/** Reads a document whose problems go to `problems`; what it gives is of use only where there are no errors. */
export function readDomain(root: MapNode, problems: ProblemList): Domain {
  return new DomainReader(problems).read(root)
}

/** The name of the domain of a document, as far as it can be told; empty where it cannot. */
export function domainNameOf(root: MapNode): string {
  const node = root.entries.find(({ key }) => key === 'domain')?.value
  return node?.kind === 'scalar' ? node.text : ''
}

class DomainReader {
  readonly #problems: ProblemList
  /** Where each level stands, to name the first of two. */
  readonly #places = new WeakMap<DescriptorLevel, ConfigNode>()

  constructor(problems: ProblemList) {
    this.#problems = problems
  }

  read(root: MapNode): Domain {
    const fields = new Fields(root, 'a domain of rate limits', DOMAIN, this.#problems)
    const name = fields.scalar('domain')?.text ?? ''
    if (name === '')
      this.#problems.error(
        fields.get('domain') ?? root,
        'missing-field',
        '"domain" is missing: a name that is not empty.',
      )
    const levels = new DescriptorLevels()
    this.#readAll(fields.list('descriptors'), levels, [])
    return { name, file: root.file.name, levels, charging: this.#charging(fields.map('intermix')) }
  }

  #readAll(list: ListNode | undefined, beside: DescriptorLevels, above: readonly DescriptorLevel[]): void {
    for (const item of list?.items ?? []) {
      if (item.kind === 'map') this.#readOne(item, beside, above)
      else this.#problems.error(item, 'wrong-type', 'a descriptor must be a map of fields, beginning with "key".')
    }
  }

  #readOne(node: MapNode, beside: DescriptorLevels, above: readonly DescriptorLevel[]): void {
    const fields: DescriptorFields = new Fields(node, 'a descriptor', DESCRIPTOR, this.#problems)
    const key = fields.scalar('key')?.text ?? ''
    const value = fields.scalar('value')?.text ?? ''
    const name = value === '' ? key : `${key}_${value}`
    if (key === '') this.#problems.error(fields.get('key') ?? node, 'missing-field', 'the descriptor has no "key".')
    const isShared = this.#flag(fields.scalar('share_threshold'))
    if (isShared && !name.includes('*'))
      this.#problems.error(
        fields.get('share_threshold') ?? node,
        'invalid-value',
        '"share_threshold" goes with a value that holds *, such as "value: user-*".',
      )
    const isValueNamed = this.#flag(fields.scalar('value_to_metric'))
    const level: DescriptorLevel = {
      key,
      value,
      isShared,
      isValueNamed,
      limit: undefined,
      below: new DescriptorLevels(),
    }
    const levels = [...above, level]
    level.limit = this.#limit(fields, levels)
    const known = beside.add(name, level)
    const first = known === undefined ? undefined : this.#places.get(known)
    if (first !== undefined)
      this.#problems.error(
        node,
        'duplicate-descriptor',
        `"${name}" stands here already, at ${placeOf(first)}: join the two, or give one of them another value.`,
      )
    this.#places.set(level, node)
    this.#readAll(fields.list('descriptors'), level.below, levels)
  }

  #limit(fields: DescriptorFields, levels: readonly DescriptorLevel[]): ConfiguredLimit | undefined {
    const isShadow = this.#flag(fields.scalar('shadow_mode'))
    const isQuota = this.#flag(fields.scalar('quota_mode'))
    const isDetailed = this.#flag(fields.scalar('detailed_metric'))
    const metadata = fields.map('metadata')
    const node = fields.map('rate_limit')
    if (node === undefined) return undefined
    const limit = new Fields(node, 'a rate limit', LIMIT, this.#problems)
    const isUnlimited = this.#flag(limit.scalar('unlimited'))
    const name = limit.scalar('name')?.text ?? ''
    const named = isDetailed ? 'detailed' : levels.some(({ isValueNamed }) => isValueNamed) ? 'values' : 'configured'
    return {
      requestsPerUnit: this.#amount(limit.scalar('requests_per_unit'), node, isUnlimited),
      unit: this.#unit(limit.scalar('unit'), node, isUnlimited),
      name,
      isUnlimited,
      isShadow,
      isQuota,
      replaces: this.#replaces(limit.list('replaces'), name),
      named,
      levels,
      metadata: metadata === undefined ? undefined : metadataOf(metadata),
    }
  }

  #unit(node: ScalarNode | undefined, limit: MapNode, isUnlimited: boolean): RateUnit {
    const text = node?.text ?? ''
    const unit = RATE_UNITS.find((each) => each === text.toLowerCase())
    if (isUnlimited) {
      if (unit !== undefined && node !== undefined)
        this.#problems.error(node, 'invalid-value', 'what is unlimited has no "unit": leave one of the two out.')
    } else if (unit === undefined) {
      this.#problems.error(
        node ?? limit,
        node === undefined ? 'missing-field' : 'invalid-value',
        `"unit" must be one of ${RATE_UNITS.join(', ')}${text === '' ? '' : `, not "${text}"`}.`,
      )
    }
    return unit ?? 'second'
  }

  /** 0, which lets nothing pass, where nothing is said: as with envoyproxy/ratelimit. */
  #amount(node: ScalarNode | undefined, limit: MapNode, isUnlimited: boolean): number {
    if (node === undefined) {
      if (!isUnlimited) this.#problems.warn(limit, 'missing-field', 'without "requests_per_unit" nothing passes.')
      return 0
    }
    const amount = node.text === '' ? Number.NaN : Number(node.text)
    if (Number.isInteger(amount) && amount >= 0 && amount <= MOST_REQUESTS) return amount
    this.#problems.error(node, 'invalid-value', `"requests_per_unit" must be a whole number up to ${MOST_REQUESTS}.`)
    return 0
  }

  #replaces(list: ListNode | undefined, own: string): readonly string[] {
    return (list?.items ?? []).map((item) => {
      const name =
        item.kind === 'map'
          ? new Fields(item, 'an item of "replaces"', REPLACED, this.#problems).scalar('name')
          : undefined
      const text = name?.text ?? ''
      if (text === '')
        this.#problems.error(name ?? item, 'missing-field', 'an item of "replaces" is "name: NAME", of another limit.')
      else if (text === own)
        this.#problems.error(name ?? item, 'invalid-value', `the limit "${text}" cannot replace itself.`)
      return text
    })
  }

  #charging(node: MapNode | undefined): DomainCharging {
    if (node === undefined) return DEFAULT_CHARGING
    const fields = new Fields(node, '"intermix"', CHARGING, this.#problems)
    const mode = this.#choice(fields.scalar('charge'), ['count', 'all'] as const) ?? DEFAULT_CHARGING.mode
    const away = this.#choice(fields.scalar('redis_away'), AWAY_POLICIES) ?? DEFAULT_CHARGING.away
    return { mode, away, accuracy: this.#accuracy(fields.scalar('accuracy')) }
  }

  #accuracy(node: ScalarNode | undefined): number {
    if (node === undefined || node.text === 'exact') return DEFAULT_CHARGING.accuracy
    if (ACCURACY.test(node.text)) return Number(node.text.slice(0, -1)) / 100
    this.#problems.error(node, 'invalid-value', '"accuracy" must be "exact" or a percentage below 100%, such as 1%.')
    return DEFAULT_CHARGING.accuracy
  }

  #choice<Choice extends string>(node: ScalarNode | undefined, choices: readonly Choice[]): Choice | undefined {
    if (node === undefined) return undefined
    const found = choices.find((each) => each === node.text)
    if (found === undefined)
      this.#problems.error(node, 'invalid-value', `must be one of ${choices.join(', ')}, not "${node.text}".`)
    return found
  }

  #flag(node: ScalarNode | undefined): boolean {
    if (node === undefined || typeof node.value === 'boolean') return node?.value === true
    this.#problems.error(node, 'wrong-type', `must be true or false, not "${node.text}".`)
    return false
  }
}

function metadataOf({ entries }: MapNode): LimitMetadata {
  return new Map(entries.map(({ key, value }) => [key, valueOf(value)]))
}

function valueOf(node: ConfigNode): MetadataValue {
  if (node.kind === 'scalar') return node.value ?? null
  return node.kind === 'list' ? node.items.map(valueOf) : metadataOf(node)
}
