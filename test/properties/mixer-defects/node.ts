// One real node (engine, caches, guards, handlers) on simulated time, with backends that a test scripts.

import { z } from 'zod'
import {
  type AnyAdapter,
  type CheckResult,
  defineAdapter,
  type QuotaResult,
} from '../../../src/adapter-kit/define-adapter.ts'
import type { Instance } from '../../../src/adapter-kit/instance.ts'
import { valueToText } from '../../../src/adapter-kit/value-text.ts'
import { builtInAdapters } from '../../../src/adapters/index.ts'
import { compileSnapshot } from '../../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../../src/config/load.ts'
import type { Snapshot } from '../../../src/config/snapshot.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { formatProblem } from '../../../src/kernel/problem.ts'
import type { CheckOptions, CheckOutcome } from '../../../src/kernel/services.ts'
import type { AttributeValue } from '../../../src/kernel/value.ts'
import type { Answer } from '../../../src/kernel/verdict.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { createSimulatedNode } from '../simulated-node.ts'

const MANIFEST = `
apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: {name: all, namespace: istio-system}
spec:
  attributes:
    a: {valueType: STRING}
    b: {valueType: STRING}
    n: {valueType: INT64}
    d: {valueType: DURATION}
    m: {valueType: STRING_MAP}
    destination.namespace: {valueType: STRING}
`

type Script = (instance: Instance) => CheckResult | Promise<CheckResult>

/** What the backends say, by the `role` in the params of their handlers. */
export class Backends {
  readonly checks = new Map<string, Script>()
  readonly quotas = new Map<string, () => QuotaResult | Promise<QuotaResult>>()
  calls = 0

  readonly adapter: AnyAdapter = defineAdapter({
    name: 'scripted',
    description: 'does what a test says',
    templates: ['listentry', 'authorization', 'checknothing', 'quota'],
    config: z.strictObject({ role: z.string() }),
    doesIo: true,
    create: ({ role }) => {
      const check = async (instance: Instance) => {
        this.calls++
        const script = this.checks.get(role)
        if (script === undefined) throw new Error(`${role} is down`)
        return await script(instance)
      }
      const quota = async () => {
        const script = this.quotas.get(role)
        if (script === undefined) throw new Error(`${role} is down`)
        return await script()
      }
      return { check: { listentry: check, authorization: check, checknothing: check }, quota: { quota } }
    },
  })
}

export const allow = (validForMs = 60_000, validUses = 1_000): CheckResult => ({
  status: { code: 0, message: '' },
  validForMs,
  validUses,
})

export const deny = (message: string, code = 7): CheckResult => ({ ...allow(), status: { code, message } })

/** Denies, and says in the message what the instance holds: two instances with one message are one. */
export const echo: Script = ({ fields }) =>
  deny(
    JSON.stringify(fields, (_key, value: unknown) =>
      value instanceof Map || typeof value === 'bigint' ? valueToText(value as AttributeValue) : value,
    ),
  )

/** A config object of Mixer's kind. */
export function object(kind: string, name: string, spec: string, options: { namespace?: string; notes?: string } = {}) {
  const { namespace = 'istio-system', notes = '' } = options
  return `
apiVersion: config.istio.io/v1alpha2
kind: ${kind}
metadata: {name: ${name}, namespace: ${namespace}, annotations: {${notes}}}
spec: ${spec}
`
}

/** A handler whose backend is scripted under its own name. */
export const scripted = (name: string, notes = '') =>
  object('handler', name, `{compiledAdapter: scripted, params: {role: ${name}}}`, { notes })

export const listEntry = (name: string, value: string) =>
  object('instance', name, `{compiledTemplate: listentry, params: {value: ${JSON.stringify(value)}}}`)

/** Compiles objects over the manifest and all adapters. */
export function compileObjects(backends: Backends, objects: readonly string[]) {
  const adapters = new Map([...builtInAdapters(), ['scripted', backends.adapter]])
  return compileSnapshot(parseConfigText('defects.yaml', [MANIFEST, ...objects].join('---')), { adapters })
}

export function compileGood(backends: Backends, objects: readonly string[]): Snapshot {
  const { snapshot, problems } = compileObjects(backends, objects)
  if (snapshot === undefined) throw new Error(problems.map(formatProblem).join('\n'))
  return snapshot
}

/** A node that serves these objects. */
export async function serve(backends: Backends, ...objects: readonly string[]) {
  const clock = new FakeClock()
  const options = { clock, random: () => 0.5, link: undefined, prefix: 'defects', nodeId: 'n1' }
  const node = await createSimulatedNode(options, compileGood(backends, objects))
  const outcome = async (
    values: Readonly<Record<string, AttributeValue>>,
    more: Partial<CheckOptions> = {},
  ): Promise<CheckOutcome> => await node.engine.check(MapBag.of(values), { timeoutMs: 5_000, ...more })
  const check = async (values: Readonly<Record<string, AttributeValue>>): Promise<Answer> =>
    (await outcome(values)).answer
  return {
    clock,
    details: node.details,
    outcome,
    check,
    /** The code and the message. */
    async says(values: Readonly<Record<string, AttributeValue>>): Promise<string> {
      const { status } = await check(values)
      return `${status.code} ${status.message}`.trim()
    },
    reload: async (...next: readonly string[]) => await node.apply(compileGood(backends, next)),
  }
}
