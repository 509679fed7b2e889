// Limits that nobody meets: quotas of a handler that no rule hands it, quotas of rules whose handler has no limit for them, and
// requests that nothing names where they are to be known by name.

import { isQuotaNameOf } from '../adapter-kit/quota-limits.ts'
import { isJsonObject } from '../kernel/json-object.ts'
import type { ConfigObject } from './objects.ts'
import type { ProblemList } from './problem-list.ts'
import type { Sliced } from './slices.ts'
import type { RuleConfig } from './snapshot.ts'

interface Limiting {
  readonly quotas: readonly string[]
  /** The object that holds the handler, as far as rules tell. */
  readonly object: ConfigObject
  /** Full names of the instances that rules hand it. */
  readonly given: Set<string>
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
      const quotas = quotaNames(handler.params)
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
        if (quotas.some((quota) => isQuotaNameOf(quota, name) || !isKnown(quota))) continue
        const has = quotas.length === 0 ? 'none' : quotas.join(', ')
        const message = `"${handler.name}" has no quota named "${name}", but ${has}: the fail policy decides about every request.`
        problems.warn(object.nameNode, 'unknown-quota', message)
      }
    }
  }
  for (const [handler, { quotas, object, given }] of limiting) {
    yield
    for (const quota of quotas) {
      if (!isKnown(quota) || [...given].some((name) => isQuotaNameOf(quota, name))) continue
      const message = `no rule hands the quota "${quota}" to "${handler}", so it limits nobody at any door.`
      problems.warn(object.nameNode, 'unused-quota', message)
    }
  }
}

/** The quotas that a handler has limits for, as params name them; `undefined` where its adapter knows none. */
function quotaNames(params: unknown): readonly string[] | undefined {
  const quotas = isJsonObject(params) ? params['quotas'] : undefined
  if (!Array.isArray(quotas)) return undefined
  return quotas.flatMap((quota: unknown) => {
    const name = isJsonObject(quota) ? quota['name'] : undefined
    return typeof name === 'string' ? [name] : []
  })
}
