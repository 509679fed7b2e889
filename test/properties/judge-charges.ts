// Holds what was charged to quotas for a request, and what its answer says of that, against what the oracle allows.

import {
  chargesOf,
  type Charged,
  type Circumstances,
  limitFields,
  type Reading,
  refusedTold,
} from './oracle/charges.ts'
import type { Told } from './oracle/answer.ts'
import { type ConfigModel, fullName } from './oracle/model.ts'
import type { Possibility } from './oracle/possible.ts'
import { type Demand, findNamed, isFilled } from './oracle/quota.ts'
import { rulesFor } from './oracle/rules.ts'
import { chargeText } from './verdicts.ts'

/** What the rules must have said apart from quotas. */
export interface Ending {
  readonly told: Told | 'allowed'
  /** Whether quotas were charged, so that nobody may give the answer again. */
  readonly isPaid: boolean
}

export interface ChargedRequest extends Circumstances {
  readonly config: ConfigModel
  readonly charging: 'all' | 'named' | 'none'
  readonly quotas: ReadonlyMap<string, Demand>
  /** The sidecar that may have granted what was named from what it had been granted ahead. */
  readonly sidecar: string | undefined
  readonly told: Told
  /** As the world has noted them, in order. */
  readonly charges: readonly string[]
}

/** Several ways in which something may have gone: the charges of each. */
type Ways = readonly (readonly string[])[]

/**
 * The endings that explain what was told and what was charged; none where nothing does.
 * @param readings the request, and the other reading of it where there is one
 */
export function endingsOf(request: ChargedRequest, readings: readonly Possibility[]): readonly Ending[] {
  const { config, charging, told, charges } = request
  const [own] = readings
  if (own === undefined) return []
  const asked = charging === 'none' || told.code !== 0 ? [[]] : namedWays(request, own)
  const named = request.sidecar !== undefined ? [...asked, []] : asked
  if (charging !== 'all') return isShuffled(charges, [named]) ? [{ told, isPaid: false }] : []
  const endings: Ending[] = told.code !== 0 && charges.length === 0 ? [{ told, isPaid: false }] : []
  const shadows = shadowsOf(config, own, request).map(({ all }) => all.map((each) => each.charges))
  const { all, isPaid } = chargesOf(
    config,
    // The caller is granted what it names by its own reading.
    readings.map((reading) => ({ ...readingOf(request, own), bag: reading.bag, rules: reading.rules })),
    request,
  )
  for (const charged of all) {
    const base = baseTold(charged, told)
    if (base === undefined) continue
    const ways = named.map((way) => [...charged.charges, ...way])
    if (isShuffled(charges, [ways, ...shadows])) endings.push({ told: base, isPaid })
  }
  return endings
}

/** What each shadow rule would do, for a request that is allowed. */
export function shadowsOf(config: ConfigModel, { bag }: Possibility, circumstances: Circumstances) {
  return rulesFor(config.rules, bag)
    .filter(({ mode }) => mode === 'shadow')
    .map((rule) => ({ rule, ...chargesOf(config, [{ bag, rules: [rule], named: [] }], circumstances) }))
}

export function readingOf(
  { config, quotas }: Pick<ChargedRequest, 'config' | 'quotas'>,
  { bag, rules }: Possibility,
): Reading {
  return { bag, rules, named: Array.from(quotas.keys(), (name) => findNamed(config, rules, bag, name)) }
}

/** What was said apart from quotas; `undefined` where these charges do not lead to what was told. */
function baseTold(charged: Charged, told: Told): Ending['told'] | undefined {
  const { refusal } = charged
  if (refusal !== undefined) {
    return JSON.stringify(refusedTold({ ...charged, refusal })) === JSON.stringify(told) ? 'allowed' : undefined
  }
  const fields = limitFields(charged).map(([name, value]) => `REPLACE ${name}=${value}`)
  const { responseHeaders } = told
  const before = responseHeaders.length - fields.length
  if (told.code !== 0 || JSON.stringify(responseHeaders.slice(Math.max(0, before))) !== JSON.stringify(fields))
    return undefined
  return { ...told, responseHeaders: responseHeaders.slice(0, before) }
}

/** Callers name at most one. */
function namedWays({ config, quotas, mayFail }: ChargedRequest, { bag, rules }: Possibility): Ways {
  for (const [name, { amount }] of quotas) {
    const found = findNamed(config, rules, bag, name)
    if (found === undefined || !isFilled(found.dimensions)) return [[]]
    const { handler, instance, dimensions } = found
    const text = chargeText(fullName(instance.name, 'instance'), amount, dimensions)
    const asked = [`${fullName(handler.name, 'handler')} ${text}`]
    return mayFail && handler.adapter === 'remote' ? [asked, []] : [asked]
  }
  return [[]]
}

/** Whether all of it is what one way of each stream makes, each in its order, in whatever order they mix. */
function isShuffled(charges: readonly string[], streams: readonly Ways[], chosen: Ways = []): boolean {
  const [ways, ...others] = streams
  if (ways !== undefined) return ways.some((way) => isShuffled(charges, others, [...chosen, way]))
  const [first, ...rest] = charges
  if (first === undefined) return chosen.every((way) => way.length === 0)
  return chosen.some((way, at) => way[0] === first && isShuffled(rest, [], chosen.with(at, way.slice(1))))
}
