import { afterEach, describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { ReportDispatcher } from '../../src/policy/report-dispatch.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { type Attributes, document, goodPolicy, ip, type PolicyNode, startPolicy } from './policy-node.ts'

const nodes: PolicyNode[] = []

afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop()
})

/** A dispatcher over a config; `dispatch` names handler and instance of what comes of a record. */
async function start(documents: readonly string[], random = () => 0.5) {
  const node = await startPolicy(goodPolicy(...OBJECTS, ...documents))
  nodes.push(node)
  const meter = new ReadableMeter()
  const dispatcher = new ReportDispatcher({ clock: node.clock, random, meter, log: new KeptLog() })
  const raw = (record: Attributes) => dispatcher.dispatch(node.state(), MapBag.of(record))
  const dispatch = async (record: Attributes) =>
    (await raw(record)).map(
      ({ handler, instance }) => `${short(handler.name)} ${instance === undefined ? 'nothing' : short(instance.name)}`,
    )
  return { node, meter, raw, dispatch }
}

const short = (name: string) => name.slice(0, name.indexOf('.'))

const OBJECTS = [
  { kind: 'handler', name: 'lines', spec: { compiledAdapter: 'stdio' } },
  { kind: 'handler', name: 'nothing', spec: { compiledAdapter: 'noop' } },
  { kind: 'handler', name: 'refuse', spec: { compiledAdapter: 'denier' } },
  { kind: 'handler', name: 'pods', spec: { compiledAdapter: 'pods' } },
  { kind: 'handler', name: 'slowpods', spec: { compiledAdapter: 'pods', params: { slow: true } } },
  ...[
    ['path', 'request.path'],
    ['method', 'request.method'],
    ['owner', 'source.workload.name | "nobody"'],
  ].map(([name = '', value = '']) => ({
    kind: 'instance',
    name,
    spec: { compiledTemplate: 'logentry', params: { severity: '"info"', variables: { value } } },
  })),
  { kind: 'instance', name: 'any', spec: { compiledTemplate: 'checknothing' } },
  {
    kind: 'instance',
    name: 'pod',
    spec: {
      compiledTemplate: 'kubernetes',
      params: { source_ip: 'source.ip' },
      attributeBindings: { 'source.workload.name': '$out.source_workload_name' },
    },
  },
].map(document)

type Action = readonly [handler: string, ...instances: readonly string[]]

function rule(
  name: string,
  match: string,
  actions: readonly Action[],
  annotations: Readonly<Record<string, string>> = {},
) {
  const spec = { match, actions: actions.map(([handler, ...instances]) => ({ handler, instances })) }
  const metadata = { name, namespace: 'istio-system', annotations }
  return JSON.stringify({ apiVersion: 'config.istio.io/v1alpha2', kind: 'rule', metadata, spec })
}

const RECORD: Attributes = { 'request.path': '/a', 'request.method': 'GET' }

describe('the report dispatcher', () => {
  it('makes the instances of the rules that match, in the order of rules, actions and instances', async () => {
    const { dispatch } = await start([
      rule('b', 'request.method == "GET"', [
        ['nothing', 'method'],
        ['lines', 'path', 'method'],
      ]),
      rule('a', 'request.path == "/a"', [['lines', 'method']]),
      rule('c', 'request.path == "/c"', [['lines', 'path']]),
    ])
    expect(await dispatch(RECORD)).toEqual(['lines method', 'nothing method', 'lines path', 'lines method'])
    expect(await dispatch({ 'request.path': '/c', 'request.method': 'PUT' })).toEqual(['lines path'])
    expect(await dispatch({})).toEqual([])
  })

  it('answers at once where nothing has to be asked', async () => {
    const { raw } = await start([rule('a', '', [['lines', 'path']])])
    const dispatched = raw(RECORD)
    expect(dispatched).toMatchObject([{ instance: { fields: { variables: { value: '/a' } } } }])
  })

  it('tells what cannot be filled, counts it, and makes the rest', async () => {
    const { dispatch, meter } = await start([rule('a', '', [['lines', 'method', 'path']])])
    expect(await dispatch({ 'request.path': '/a' })).toEqual(['lines nothing', 'lines path'])
    expect(meter.value('report_instance_failures_total', 'method.instance.istio-system', 'absent')).toBe(1)
  })

  it('makes nothing for checks', async () => {
    const { dispatch } = await start([
      rule('a', '', [
        ['refuse', 'any'],
        ['nothing', 'any', 'path'],
      ]),
    ])
    expect(await dispatch(RECORD)).toEqual(['nothing path'])
  })

  it('takes nothing of shadow rules, and of others the share that sampling says', async () => {
    const draws = [0.1, 0.3, 0.24, 0.25]
    const { dispatch } = await start(
      [
        rule('shadow', '', [['lines', 'method']], { 'policy.intermix.dev/mode': 'shadow' }),
        rule('some', '', [['lines', 'path']], { 'policy.intermix.dev/sampling': '0.25' }),
        rule('whole', '', [['nothing', 'path']]),
      ],
      () => draws.shift() ?? 1,
    )
    expect(await dispatch(RECORD)).toEqual(['lines path', 'nothing path'])
    expect(await dispatch(RECORD)).toEqual(['nothing path'])
    expect(await dispatch(RECORD)).toEqual(['lines path', 'nothing path'])
    expect(await dispatch(RECORD)).toEqual(['nothing path'])
    // Rules that take every record draw no number.
    expect(draws).toEqual([])
  })

  it.each(['pods', 'slowpods'])('adds what generators know before rules see the record (%s)', async (generator) => {
    const { dispatch, raw } = await start([
      rule('generate', '', [[generator, 'pod']]),
      rule('web', 'source.workload.name == "web"', [['lines', 'owner']]),
      rule('all', '', [['nothing', 'owner']]),
    ])
    const known = { ...RECORD, 'source.ip': ip('10.0.0.1') }
    expect(await dispatch(known)).toEqual(['nothing owner', 'lines owner'])
    expect((await raw(known)).map(({ instance }) => instance?.fields['variables'])).toEqual([
      { value: 'web' },
      { value: 'web' },
    ])
    expect(await dispatch({ ...RECORD, 'source.ip': ip('10.0.0.2') })).toEqual(['nothing owner'])
    // What the record brought is never replaced.
    expect(await dispatch({ ...known, 'source.workload.name': 'other' })).toEqual(['nothing owner'])
  })
})
