// A config on trial: what it cannot decide, the one before it does, as all others do that have not got it.
import { describe, expect, it, onTestFinished } from 'vitest'
import type { CheckOptions, CheckOutcome } from '../../src/kernel/services.ts'
import { Code } from '../../src/kernel/status.ts'
import type { CheckObserver } from '../../src/policy/check-observer.ts'
import {
  type Attributes,
  far,
  goodPolicy,
  ip,
  outages,
  type PolicyNode,
  refusingRule,
  startNode,
} from './policy-node.ts'

/** As long as a request has. */
const TIMEOUT_MS = 1_000

/** A rule that asks a backend, which fails for `/broken`. */
function asking(match: string, value = 'request.path', name = 'ask'): string {
  const action = { handler: { adapter: 'far', params: {} }, instances: [{ template: 'listentry', params: { value } }] }
  const spec = { match, actions: [action] }
  return JSON.stringify({ apiVersion: 'intermix.dev/v1', kind: 'rule', metadata: { name }, spec })
}

/** A rule that lets two calls pass. */
function limiting(name: string, match: string, namespace?: string): string {
  const quotas = [{ name: 'calls', maxAmount: 2, validDuration: '1h' }]
  const instances = [{ name: 'calls', template: 'quota', params: { dimensions: {} } }]
  const actions = [{ handler: { adapter: 'memquota', params: { quotas } }, instances }]
  const metadata = { name, ...(namespace && { namespace }) }
  return JSON.stringify({ apiVersion: 'intermix.dev/v1', kind: 'rule', metadata, spec: { match, actions } })
}

const ADMIN = refusingRule('admin', 'request.path.startsWith("/admin")')
const STABLE = goodPolicy(ADMIN)

/** Tells for each answer whether something had been undecided. */
class Watching implements CheckObserver {
  readonly seen: string[] = []
  readonly #undecided = new WeakSet()

  answered(...[request]: Parameters<CheckObserver['answered']>) {
    this.seen.push(this.#undecided.has(request) ? 'undecided' : 'decided')
  }

  undecided(...[request]: Parameters<CheckObserver['undecided']>) {
    this.#undecided.add(request)
  }

  failed() {
    this.seen.push('failed')
  }
}

/** Asks, and lets time pass until there is an answer: what fails is tried again. */
async function checked(node: PolicyNode, path: string, options?: Partial<CheckOptions>): Promise<CheckOutcome> {
  const outcome = node.check({ 'request.path': path }, options)
  await node.clock.advance(TIMEOUT_MS)
  return await outcome
}

async function onTrial(...rules: readonly string[]) {
  const observer = new Watching()
  const node = await startNode(STABLE, true, observer)
  await node.apply(goodPolicy(...rules), true)
  const check = (path: string, options?: Partial<CheckOptions>) => checked(node, path, options)
  const code = async (path: string) => (await check(path)).answer.status.code
  return { node, observer, check, code }
}

describe('a config on trial', () => {
  it('has the stable one answer where a handler fails, and nobody keeps that', async () => {
    const { node, observer, check, code } = await onTrial(ADMIN, asking('true'))
    expect(await code('/a')).toBe(Code.OK)
    const { answer, shape } = await check('/broken', { shape: true, uses: 5 })
    expect(answer).toMatchObject({ status: { code: Code.OK }, validForMs: 0, validUses: 0 })
    expect(shape).toBeUndefined()
    expect(observer.seen).toEqual(['decided', 'undecided'])
    expect(node.meter.value('rollout_decided_by_stable_total')).toBe(1)
  })

  it('has it deny, too', async () => {
    const { code, observer } = await onTrial(asking('true', '"/broken"'))
    expect(await code('/admin')).toBe(Code.PERMISSION_DENIED)
    expect(observer.seen).toEqual(['undecided'])
  })

  it('denies what it denies for certain, whatever else fails', async () => {
    const { code, observer } = await onTrial(refusingRule('all', 'true'), asking('true'))
    expect(await code('/broken')).not.toBe(Code.OK)
    expect(observer.seen).toEqual(['undecided'])
  })

  it('answers the namespaces that are tried, and the stable one all others', async () => {
    const observer = new Watching()
    const node = await startNode(STABLE, true, observer)
    await node.apply(goodPolicy(refusingRule('all', 'true')), true, new Set(['shop']))
    const asked = async (more: Attributes) => {
      const { answer, shape } = await node.check({ 'request.path': '/a', ...more }, { shape: true })
      return [answer.status.code, answer.validUses > 0, shape !== undefined]
    }
    // What is kept is given again by what it depended on, which is not the namespace.
    const refused = [Code.PERMISSION_DENIED, false, false]
    const allowed = [Code.OK, false, false]
    expect(await asked({ 'destination.namespace': 'shop' })).toEqual(refused)
    expect(await asked({ 'destination.namespace': 'bank' })).toEqual(allowed)
    expect(await asked({})).toEqual(allowed)
    // Proxies of callers tell whose request it is by the source.
    const outbound = { 'context.reporter.kind': 'outbound', 'destination.namespace': 'bank' }
    expect(await asked({ ...outbound, 'source.namespace': 'shop' })).toEqual(refused)
    expect(observer.seen).toEqual(['decided', 'decided', 'decided', 'decided'])
    expect(node.meter.value('rollout_decided_by_stable_total')).toBe(0)
    await node.apply(goodPolicy(refusingRule('all', 'true')))
    expect(await asked({})).toEqual([Code.PERMISSION_DENIED, true, true])
  })

  it('asks nothing of the one on trial for namespaces that are not tried', async () => {
    const generator = (workload: string) => {
      const bindings = { 'source.workload.name': '$out.source_workload_name' }
      const instances = [{ template: 'kubernetes', params: { source_ip: 'source.ip' }, attributeBindings: bindings }]
      const actions = [{ handler: { adapter: 'pods', params: { workload } }, instances }]
      const metadata = { name: 'pods' }
      return JSON.stringify({ apiVersion: 'intermix.dev/v1', kind: 'rule', metadata, spec: { actions } })
    }
    outages.add('sick')
    onTestFinished(() => void outages.delete('sick'))
    const named = refusingRule('named', 'source.workload.name == "bad"')
    const node = await startNode(goodPolicy(generator('web'), named))
    await node.apply(goodPolicy(generator('sick'), named), true, new Set(['shop']))
    const asked = async (namespace: string) => {
      const bag = { 'source.ip': ip('10.0.0.1'), 'destination.namespace': namespace }
      return (await node.check(bag)).answer.status.code
    }
    expect(await asked('bank')).toBe(Code.OK)
    expect(node.meter.value('attribute_generation_failures_total')).toBe(0)
    expect(await asked('shop')).toBe(Code.OK)
    expect(node.meter.value('attribute_generation_failures_total')).toBe(1)
  })

  it('leaves the stable one time where a handler says nothing', async () => {
    const node = await startNode(goodPolicy(asking('true', '"/slow"')))
    await node.apply(goodPolicy(asking('true', '"/hangs"')), true)
    const { answer } = await checked(node, '/', { timeoutMs: 200 })
    expect(answer.status).toEqual({ code: Code.OK, message: '' })
    expect(node.meter.value('rollout_decided_by_stable_total')).toBe(1)
  })

  it('does not ask the stable one twice that is slow itself', async () => {
    const node = await startNode(goodPolicy(limiting('limit', 'true'), asking('true', '"/hangs"')))
    await node.apply(goodPolicy(limiting('limit', 'true'), refusingRule('odd', 'int(request.path) > 1')), true)
    const before = far.calls
    const { answer } = await checked(node, '/', { timeoutMs: 200 })
    expect(answer.status.code).not.toBe(Code.OK)
    expect(far.calls - before).toBe(1)
  })

  it('has proxies of Istio draw on the pools of quotas that they would have without a trial', async () => {
    const stable = limiting('limit', 'true', 'shop')
    const named = async (node: PolicyNode) => {
      const quotas = new Map([['calls', { amount: 1, bestEffort: false }]])
      const bag = { 'request.path': '/broken', 'destination.namespace': 'shop' }
      const outcome = node.check(bag, { quotas, charging: 'named', keepsAnswer: true })
      await node.clock.advance(TIMEOUT_MS)
      return (await outcome).quotas.get('calls')?.referenced
    }
    const alone = await startNode(goodPolicy(stable))
    const { node } = await onTrial(asking('true'))
    await node.apply(goodPolicy(stable))
    await node.apply(goodPolicy(stable, asking('true')), true)
    expect(await named(node)).toEqual(await named(alone))
  })

  it.each([
    ['cannot be asked', { adapter: 'far', params: {} }, {}],
    ['are of an instance that cannot be made', undefined, { odd: 'int(request.path)' }],
  ])('has the stable one charge where quotas %s', async (_, handler, dimensions) => {
    const { observer, node, code } = await onTrial(ADMIN)
    const params = { quotas: [{ name: 'odd', maxAmount: 9, validDuration: '1h' }] }
    const instances = [{ name: 'odd', template: 'quota', params: { dimensions } }]
    const spec = { actions: [{ handler: handler ?? { adapter: 'memquota', params }, instances }] }
    const odd = JSON.stringify({ apiVersion: 'intermix.dev/v1', kind: 'rule', metadata: { name: 'first' }, spec })
    await node.apply(goodPolicy(limiting('limit', 'true')))
    await node.apply(goodPolicy(odd, limiting('limit', 'true')), true)
    expect([await code('/'), await code('/'), await code('/')]).toEqual([Code.OK, Code.OK, Code.RESOURCE_EXHAUSTED])
    expect(observer.seen).toEqual(['undecided', 'undecided', 'undecided'])
    // Once it is trusted, its fail policy holds, and observers hear of it all the same.
    await node.apply(goodPolicy(odd))
    expect(await code('/')).not.toBe(Code.OK)
    expect(observer.seen.at(-1)).toBe('undecided')
  })

  it('charges nothing twice where one quota was charged and the next one fails', async () => {
    const { node, code } = await onTrial(ADMIN)
    const instances = [{ name: 'odd', template: 'quota', params: { dimensions: {} } }]
    const spec = { actions: [{ handler: { adapter: 'far', params: {} }, instances }] }
    const odd = JSON.stringify({ apiVersion: 'intermix.dev/v1', kind: 'rule', metadata: { name: 'z' }, spec })
    await node.apply(goodPolicy(limiting('limit', 'true')))
    await node.apply(goodPolicy(limiting('limit', 'true'), odd), true)
    expect(await code('/')).not.toBe(Code.OK)
    await node.apply(goodPolicy(limiting('limit', 'true')))
    expect([await code('/'), await code('/')]).toEqual([Code.OK, Code.RESOURCE_EXHAUSTED])
  })

  it('has nobody give back what the stable one has charged: another config would take it back', async () => {
    const node = await startNode(goodPolicy(limiting('limit', 'true')))
    await node.apply(goodPolicy(limiting('limit', 'true'), asking('true')), true)
    const { answer, isPaid } = await checked(node, '/broken', { shape: true, uses: 5 })
    expect([answer.status.code, isPaid]).toEqual([Code.OK, false])
  })

  it('goes by its fail policies once it is trusted', async () => {
    const { node, code } = await onTrial(asking('true'))
    await node.apply(goodPolicy(asking('true')))
    expect(await code('/broken')).not.toBe(Code.OK)
    expect(node.meter.value('rollout_decided_by_stable_total')).toBe(0)
  })

  it('charges once, by the config that answered', async () => {
    const observer = new Watching()
    const node = await startNode(goodPolicy(limiting('limit', 'true')), true, observer)
    await node.apply(goodPolicy(limiting('limit', 'true'), asking('true')), true)
    const codes: number[] = []
    for (let n = 0; n < 3; n++) codes.push((await checked(node, '/broken')).answer.status.code)
    expect(codes).toEqual([Code.OK, Code.OK, Code.RESOURCE_EXHAUSTED])
  })
})
