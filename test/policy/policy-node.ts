// A node of its own for tests of policy: the real engine, handlers and caches over a config written in the test, with two
// adapters beside the built-in ones.

import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { type AnyAdapter, defineAdapter } from '../../src/adapter-kit/define-adapter.ts'
import { builtInAdapters } from '../../src/adapters/index.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import type { Snapshot } from '../../src/config/snapshot.ts'
import { pause } from '../../src/kernel/deadline.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { parseIp } from '../../src/kernel/ip-address.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { formatProblem } from '../../src/kernel/problem.ts'
import type { CheckOptions, CheckOutcome } from '../../src/kernel/services.ts'
import { Code, OK_STATUS } from '../../src/kernel/status.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import type { CheckObserver } from '../../src/policy/check-observer.ts'
import { FakeClock } from '../helpers/clock.ts'
import { createSimulatedNode, type SimulatedNode } from '../properties/simulated-node.ts'

export type Attributes = Readonly<Record<string, AttributeValue>>

/** The attributes that the tests of policy use. */
const WORDS = `
apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: {name: words, namespace: istio-system}
spec:
  attributes:
    source.ip: {valueType: IP_ADDRESS}
    source.uid: {valueType: STRING}
    source.namespace: {valueType: STRING}
    source.labels: {valueType: STRING_MAP}
    source.workload.name: {valueType: STRING}
    destination.namespace: {valueType: STRING}
    connection.event: {valueType: STRING}
    destination.owner: {valueType: STRING}
    request.headers: {valueType: STRING_MAP}
    request.method: {valueType: STRING}
    request.path: {valueType: STRING}
    request.query_params: {valueType: STRING_MAP}
    response.code: {valueType: INT64}
    llm.output.owner: {valueType: STRING}
    output.owner: {valueType: STRING}
    _out.source_owner: {valueType: STRING}
    whoami.output.owner: {valueType: STRING}
`

/** The workloads whose handlers of `pods` fail for the time being. */
export const outages = new Set<string>()

/** Knows one pod: `kubernetes://web.shop` at 10.0.0.1. `workload` names it otherwise, so that two generators differ. */
const pods = defineAdapter({
  name: 'pods',
  description: 'Knows one pod.',
  templates: ['kubernetes'],
  config: z.strictObject({ workload: z.string().default('web'), slow: z.boolean().default(false) }),
  doesIo: true,
  create: ({ workload, slow }) => ({
    attributes: {
      kubernetes({ fields }) {
        if (outages.has(workload)) throw new IntermixError('BACKEND_FAILED', 'the cluster is away')
        const { sourceUid, sourceIp } = fields
        const byIp = sourceIp instanceof Uint8Array && Buffer.from(sourceIp).equals(ip('10.0.0.1'))
        const output =
          sourceUid === 'kubernetes://web.shop' || (byIp && !sourceUid)
            ? {
                sourcePodUid: 'kubernetes://web.shop',
                sourcePodIp: ip('10.0.0.1'),
                sourceNamespace: 'shop',
                sourceLabels: new Map([['app', 'web']]),
                sourceWorkloadName: workload,
                sourceOwner: 'amy',
              }
            : {}
        return slow ? Promise.resolve(output) : output
      },
    },
  }),
})

/** Allows, and puts the value out as `owner`; nothing where the value is `nobody`. */
const naming = defineAdapter({
  name: 'naming',
  description: 'Puts out what it is asked for.',
  templates: ['listentry'],
  config: z.strictObject({}),
  doesIo: false,
  create: () => ({
    check: {
      listentry: ({ fields: { value } }) => ({
        status: { code: 0, message: '' },
        ...(value === undefined || value === 'nobody' ? {} : { output: { owner: value } }),
      }),
    },
  }),
})

/** How often a handler of `far` was asked. */
export const far = { calls: 0 }

/** Stands for a backend: answers later, denies `/no`, fails for `/broken`, takes 20 ms for `/slow`, and says nothing to `/hangs`. Its quotas fail. */
const farAdapter = defineAdapter({
  name: 'far',
  description: 'Answers later.',
  templates: ['listentry', 'quota'],
  config: z.strictObject({}),
  doesIo: true,
  create: (_params, { clock }) => ({
    quota: { quota: () => Promise.reject(new IntermixError('BACKEND_FAILED', 'broken')) },
    check: {
      listentry: ({ fields: { value } }) => {
        far.calls++
        if (value === '/broken') return Promise.reject(new IntermixError('BACKEND_FAILED', 'broken'))
        if (value === '/slow') return pause(clock, 20).then(() => ({ status: OK_STATUS }))
        if (value === '/hangs') return new Promise<never>(() => undefined)
        return Promise.resolve({ status: { code: value === '/no' ? Code.PERMISSION_DENIED : 0, message: '' } })
      },
    },
  }),
})

const ADAPTERS: ReadonlyMap<string, AnyAdapter> = new Map<string, AnyAdapter>([
  ...builtInAdapters(),
  ['pods', pods],
  ['naming', naming],
  ['far', farAdapter],
])

/** The four or sixteen bytes of an address. */
export function ip(text: string): Uint8Array {
  const bytes = parseIp(text)
  if (bytes === undefined) throw new Error(`${text} is no address`)
  return bytes
}

export function compilePolicy(...documents: readonly string[]) {
  return compileSnapshot(parseConfigText('policy.yaml', [WORDS, ...documents].join('\n---\n')), { adapters: ADAPTERS })
}

/** Compiles a config that must be right. */
export function goodPolicy(...documents: readonly string[]): Snapshot {
  const { snapshot, problems } = compilePolicy(...documents)
  if (snapshot === undefined) throw new Error(problems.map(formatProblem).join('\n'))
  return snapshot
}

export interface PolicyNode extends SimulatedNode {
  readonly clock: FakeClock
  check(attributes: Attributes, options?: Partial<CheckOptions>): Promise<CheckOutcome>
}

/** @param answers whether whole answers are kept. */
export async function startPolicy(snapshot: Snapshot, answers = true, observer?: CheckObserver): Promise<PolicyNode> {
  const clock = new FakeClock()
  const options = {
    clock,
    random: () => 0.5,
    link: undefined,
    prefix: '',
    nodeId: 'a',
    answers,
    ...(observer && { observer }),
  }
  const node = await createSimulatedNode(options, snapshot)
  return {
    ...node,
    clock,
    check: async (attributes, more) => await node.engine.check(MapBag.of(attributes), { timeoutMs: 1_000, ...more }),
  }
}

/** As `startPolicy`; it stops when the test that calls this has ended. */
export async function startNode(snapshot: Snapshot, answers = true, observer?: CheckObserver): Promise<PolicyNode> {
  const node = await startPolicy(snapshot, answers, observer)
  onTestFinished(() => node.stop())
  return node
}

/** A node of a config that must be right, until the test has ended. */
export async function start(...documents: readonly string[]): Promise<PolicyNode> {
  return await startNode(goodPolicy(...documents))
}

/** An action that denies. */
export const REFUSE = {
  handler: { adapter: 'denier', params: { status: { code: Code.PERMISSION_DENIED, message: 'refused' } } },
  instances: [{ template: 'checknothing' }],
}

/** A rule of our own API that denies what matches. */
export function refusingRule(name: string, match: string, more: object = {}): string {
  const spec = { match, actions: [REFUSE], ...more }
  return JSON.stringify({ apiVersion: 'intermix.dev/v1', kind: 'rule', metadata: { name }, spec })
}

interface Spec {
  readonly kind: string
  readonly name: string
  readonly spec: object
}

/** An object of the default namespace; JSON is YAML. */
export function document({ kind, name, spec }: Spec): string {
  const metadata = { name, namespace: 'istio-system' }
  return JSON.stringify({ apiVersion: 'config.istio.io/v1alpha2', kind, metadata, spec })
}
