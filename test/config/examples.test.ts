// The configs that we hand out load without a single warning, and do what their comments say.

import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { builtInAdapters } from '../../src/adapters/index.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { loadConfigFolder } from '../../src/config/load.ts'
import { RuleSelector } from '../../src/config/rule-index.ts'
import { atOnce } from '../../src/config/slices.ts'
import type { Snapshot } from '../../src/config/snapshot.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { formatProblem } from '../../src/kernel/problem.ts'
import { RATE_LIMIT_ATTRIBUTES } from '../../src/kernel/rate-limit-attributes.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import { sharedData } from '../helpers/shared-data.ts'

async function load(name: string): Promise<Snapshot> {
  const loaded = await loadConfigFolder(join(import.meta.dirname, '../../examples', name))
  const { snapshot, problems } = compileSnapshot(loaded, { adapters: builtInAdapters() })
  expect(problems.map(formatProblem)).toEqual([])
  if (snapshot === undefined) throw new Error('there are no problems and no snapshot')
  return snapshot
}

function matching(snapshot: Snapshot, values: Readonly<Record<string, AttributeValue>>): readonly string[] {
  const bag = MapBag.of(values)
  const { rules } = atOnce(RuleSelector.build(snapshot)).check(bag)
  const matched = rules.filter(({ match }) => match === undefined || match.evaluate(bag) === true)
  return matched.map(({ name }) => name.split('.')[0] ?? '')
}

describe('the quickstart config', () => {
  it('denies the admin pages and listed clients', async () => {
    const snapshot = await load('quickstart')
    const headers = (entries: Record<string, string>) => new Map(Object.entries(entries))
    expect(matching(snapshot, { 'request.path': '/' })).toEqual([])
    expect(matching(snapshot, { 'request.path': '/admin/x' })).toEqual(['deny-admin'])
    expect(matching(snapshot, { 'request.path': '/admin', 'request.headers': headers({ 'x-admin': 'no' }) })).toEqual([
      'deny-admin',
    ])
    expect(matching(snapshot, { 'request.path': '/admin', 'request.headers': headers({ 'x-admin': 'yes' }) })).toEqual(
      [],
    )
    expect(matching(snapshot, { 'request.path': '/', 'request.headers': headers({ 'x-client': 'eve' }) })).toEqual([
      'list-clients',
    ])
    expect(matching(snapshot, { 'request.path': '/', 'source.labels': headers({ version: 'v9' }) })).toEqual([
      'list-versions',
    ])
  })

  it('fills a metric and a log entry of any request', async () => {
    const snapshot = await load('quickstart')
    const count = snapshot.instances
      .get('requestcount.instance.istio-system')
      ?.build(MapBag.of({ 'response.code': 200n }))
    expect(count).toMatchObject({ fields: { value: 1n, dimensions: { destination: 'unknown', response_code: 200n } } })
    const entry = snapshot.instances.get('accesslog.instance.istio-system')
    expect(entry?.build(MapBag.of({ 'response.code': 503n, 'request.path': '/x' }))).toMatchObject({
      fields: { severity: 'error', variables: { path: '/x', code: 503n } },
    })
  })
})

describe("Istio's usual config", () => {
  it('counts requests with the names that dashboards expect', async () => {
    const snapshot = await load('istio')
    const params = snapshot.handlers.get('prometheus.handler.istio-system')?.params as {
      readonly metrics: readonly {
        readonly name: string
        readonly instanceName: string
        readonly labelNames: readonly string[]
      }[]
    }
    expect(params.metrics.map(({ name }) => name)).toEqual([
      'requests_total',
      'request_duration_seconds',
      'request_bytes',
      'response_bytes',
      'tcp_sent_bytes_total',
      'tcp_received_bytes_total',
      'tcp_connections_opened_total',
      'tcp_connections_closed_total',
    ])
    for (const { instanceName, labelNames } of params.metrics) {
      const instance = snapshot.instances.get(instanceName)
      const dimensions = [...(instance?.expressions.keys() ?? [])].flatMap(
        (path) => path.match(/^dimensions\.(.*)/)?.[1] ?? [],
      )
      expect(dimensions).toEqual(labelNames)
    }
  })

  it('denies one version of a workload', async () => {
    const labels = (app: string, version: string) => new Map(Object.entries({ app, version }))
    const request = { 'destination.labels': labels('ratings', 'v1'), 'source.labels': labels('reviews', 'v3') }
    expect(matching(await load('istio'), request)).toEqual(['checkversion', 'denyreviewsv3'])
  })
})

const manifest = sharedData('attribute-manifest.json') as
  | Readonly<Record<string, { readonly valueType: string }>>
  | undefined

/** What is not Mixer's; only the example in our own format has it. */
const OURS = { 'request.raw_host': 'STRING', 'request.raw_path': 'STRING' }

describe.skipIf(manifest === undefined)('the vocabulary of both', () => {
  it.each([
    ['quickstart', OURS],
    ['istio', {}],
  ])("%s: is Mixer's, and what is ours", async (name, ours) => {
    const { vocabulary } = await load(name)
    const expected = Object.entries(manifest ?? {}).map(([attribute, { valueType }]) => [attribute, valueType])
    const all = { ...Object.fromEntries(expected), ...Object.fromEntries(RATE_LIMIT_ATTRIBUTES), ...ours }
    expect(Object.fromEntries(vocabulary)).toEqual(all)
  })
})
