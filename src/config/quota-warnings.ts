// Limits that nobody meets: quotas of a handler that no rule hands it, quotas of rules whose handler has no limit for them, and
// requests that nothing names where they are to be known by name.

import { isQuotaNameOf } from '../adapter-kit/quota-limits.ts'
import { isJsonObject } from '../kernel/json-object.ts'
import { nearest, suggest } from '../kernel/suggest.ts'
import type { FieldPlan } from './instance-builder.ts'
import type { ConfigObject } from './objects.ts'
import type { ProblemList } from './problem-list.ts'
import type { Sliced } from './slices.ts'
import type { RuleConfig } from './snapshot.ts'

interface Limiting {
  readonly quotas: readonly Quota[]
  /** The object that holds the handler, as far as rules tell. */
  readonly object: ConfigObject
  /** Full names of the instances that rules hand it. */
  readonly given: Set<string>
}

/** A quota as params tell of it. */
interface Quota {
  readonly name: string
  /** Those by which overrides choose. */
  readonly dimensions: ReadonlySet<string>
}

/** Warns of these. A quota that no instance is named for has been told of already. */
export function* warnOfQuotas(
  objects: readonly ConfigObject[],
  rules: ReadonlyMap<ConfigObject, RuleConfig>,
  instances: ReadonlyMap<string, unknown>,
  problems: ProblemList,
): Sliced<void> {
  const handlers = new Map(objects.filter(({ role }) => role.role === 'handler').map((each) => [each.fullName, each]))
  const limiting = new Map<string, Limiting>()
  const names = [...instances.keys()]
  const isKnown = (quota: string) => names.some((name) => isQuotaNameOf(quota, name))
  for (const [object, { actions }] of rules) {
    yield
    for (const { handler, instances: asked } of actions) {
      const quotas = quotasOf(handler.params)
      if (quotas === undefined) continue
      let known = limiting.get(handler.name)
      if (known === undefined)
        limiting.set(handler.name, (known = { quotas, object: handlers.get(handler.name) ?? object, given: new Set() }))
      for (const { name, template, plan } of asked) {
        if (template.variety !== 'quota' || known.given.has(name)) continue
        known.given.add(name)
        const isHeld = handler.adapter.holdsUntilEnd?.(name, handler.params) === true
        if (isHeld && !plan.some((field) => field.name === 'deduplicationId')) {
          const message = `"${name}" holds a place of "${handler.name}" until its request ends, but has no deduplicationId to name the request by: the fail policy decides about every request.`
          problems.warn(object.nameNode, 'unnamed-request', message)
        }
        const quota = quotas.find((each) => isQuotaNameOf(each.name, name))
        if (quota !== undefined) {
          warnOfDimensions(quota, name, plan, handler.name, known.object, problems)
          continue
        }
        // Of one slip of the pen no two warnings.
        if (
          quotas.some(
            (each) => !isKnown(each.name) && nearest(each.name, [name, name.split('.', 1)[0] ?? '']).length > 0,
          )
        )
          continue
        const has = quotas.length === 0 ? 'none' : quotas.map((each) => each.name).join(', ')
        const message = `"${handler.name}" has no quota named "${name}", but ${has}: the fail policy decides about every request.`
        problems.warn(object.nameNode, 'unknown-quota', message)
      }
    }
  }
  for (const [handler, { quotas, object, given }] of limiting) {
    yield
    for (const { name: quota } of quotas) {
      if (!isKnown(quota) || [...given].some((name) => isQuotaNameOf(quota, name))) continue
      const message = `no rule hands the quota "${quota}" to "${handler}", so it limits nobody at any door.`
      problems.warn(object.nameNode, 'unused-quota', message)
    }
  }
}

/** Of overrides that are for dimensions which the instance lacks. */
function warnOfDimensions(
  { name: quota, dimensions }: Quota,
  instance: string,
  plan: readonly FieldPlan[],
  handler: string,
  object: ConfigObject,
  problems: ProblemList,
): void {
  const has = plan.flatMap((field) =>
    field.kind === 'map' && field.name === 'dimensions' ? field.entries.map(([key]) => key) : [],
  )
  for (const name of dimensions) {
    if (has.includes(name)) continue
    const message = `an override of "${quota}" of "${handler}" is for the dimension "${name}", which "${instance}" does not have, so it never holds.${suggest(name, has)}`
    problems.warn(object.nameNode, 'unknown-dimension', message)
  }
}

/** The quotas that a handler has limits for; `undefined` where its adapter knows none. */
function quotasOf(params: unknown): readonly Quota[] | undefined {
  const quotas = isJsonObject(params) ? params['quotas'] : undefined
  if (!Array.isArray(quotas)) return undefined
  return quotas.filter(isJsonObject).flatMap(({ name, overrides }) => {
    if (typeof name !== 'string') return []
    const dimensions = (Array.isArray(overrides) ? overrides : []).flatMap((override: unknown) =>
      isJsonObject(override) && isJsonObject(override['dimensions']) ? Object.keys(override['dimensions']) : [],
    )
    return [{ name, dimensions: new Set(dimensions) }]
  })
}
