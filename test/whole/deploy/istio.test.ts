// The examples for Istio: written as its definitions say, and what they put into proxies is accepted by Envoy.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments, parseDocument } from 'yaml'
import { z } from 'zod'
import { ENVOY_MANAGER, ENVOY_WASM } from '../../helpers/envoy.ts'
import { toolOrSkip } from '../../helpers/tools.ts'
import { expectAccepted } from './accepted.ts'

const envoy = toolOrSkip('envoy')
const FILTERS = [...ENVOY_MANAGER, 'http_filters']
const CLUSTER = 'outbound|9091||intermix-node.intermix.svc.cluster.local'

const LABELS = z.record(z.string(), z.string())
const METADATA = z.strictObject({ name: z.string(), namespace: z.string() })
const SETTINGS = z.strictObject({
  cluster: z.literal(CLUSTER),
  source_address: z.enum(['direct', 'downstream']),
  context_extensions: LABELS,
  report: z.strictObject({ request_headers: z.array(z.string()) }),
})
const FILTER = z.strictObject({ name: z.string(), typed_config: z.looseObject({ '@type': z.string() }) })
const WASM_PLUGIN = z.strictObject({
  apiVersion: z.literal('extensions.istio.io/v1alpha1'),
  kind: z.literal('WasmPlugin'),
  metadata: METADATA,
  spec: z.strictObject({
    selector: z.strictObject({ matchLabels: LABELS }),
    url: z.string().regex(/^(oci|https?|file):\/\//),
    phase: z.enum(['AUTHN', 'AUTHZ', 'STATS']),
    failStrategy: z.enum(['FAIL_CLOSE', 'FAIL_OPEN', 'FAIL_RELOAD']),
    match: z.array(z.strictObject({ mode: z.enum(['SERVER', 'CLIENT', 'CLIENT_AND_SERVER']) })),
    pluginConfig: SETTINGS,
  }),
})
const ENVOY_FILTER = z.strictObject({
  apiVersion: z.literal('networking.istio.io/v1alpha3'),
  kind: z.literal('EnvoyFilter'),
  metadata: METADATA,
  spec: z.strictObject({
    workloadSelector: z.strictObject({ labels: LABELS }),
    configPatches: z.array(
      z.strictObject({
        applyTo: z.literal('HTTP_FILTER'),
        match: z.strictObject({
          context: z.literal('SIDECAR_INBOUND'),
          listener: z.strictObject({
            filterChain: z.strictObject({
              filter: z.strictObject({ name: z.literal('envoy.filters.network.http_connection_manager') }),
            }),
          }),
        }),
        patch: z.strictObject({ operation: z.literal('INSERT_FIRST'), value: FILTER }),
      }),
    ),
  }),
})
const DESTINATION_RULE = z.strictObject({
  apiVersion: z.literal('networking.istio.io/v1'),
  kind: z.literal('DestinationRule'),
  metadata: METADATA,
  spec: z.strictObject({
    host: z.string(),
    trafficPolicy: z.strictObject({
      connectionPool: z.strictObject({
        tcp: z.strictObject({
          tcpKeepalive: z.strictObject({ time: z.string(), interval: z.string(), probes: z.int() }),
        }),
      }),
      outlierDetection: z.strictObject({
        consecutive5xxErrors: z.int(),
        interval: z.string(),
        baseEjectionTime: z.string(),
        maxEjectionPercent: z.int(),
      }),
    }),
  }),
})
type Filter = z.infer<typeof FILTER>

function documents(name: string): unknown[] {
  const path = fileURLToPath(new URL(`../../../deploy/istio/${name}`, import.meta.url))
  return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    expect(document.errors).toEqual([])
    return document.toJS() as unknown
  })
}

/** The filters that patches put first, in the order in which requests meet them. */
function patched(document: unknown): Filter[] {
  return ENVOY_FILTER.parse(document)
    .spec.configPatches.map(({ patch }) => patch.value)
    .toReversed()
}

/** Has Envoy take filters in place of those before the router. @param settings those of the filter, where a WasmPlugin has them */
async function expectInEnvoy(filters: readonly Filter[], settings?: object): Promise<void> {
  const bootstrap = parseDocument(readFileSync(ENVOY_WASM, 'utf8'))
  const [, own, router] = (bootstrap.getIn(FILTERS, true) as { toJSON(): Filter[] }).toJSON()
  if (own === undefined) throw new Error('the shipped bootstrap has no filter')
  if (settings !== undefined) {
    const { config } = own.typed_config as unknown as { config: { configuration: { value: string } } }
    config.configuration.value = JSON.stringify(settings)
  }
  bootstrap.setIn(FILTERS, bootstrap.createNode([...filters, ...(settings === undefined ? [] : [own]), router]))
  await expectAccepted(bootstrap.toString())
}

describe('deploy/istio/wasm-plugin.yaml', () => {
  const [plugin, source, rule, ...more] = documents('wasm-plugin.yaml')

  it('is a plugin, what tells it the source, and a rule for the nodes that it asks', () => {
    const { spec } = WASM_PLUGIN.parse(plugin)
    const { workloadSelector } = ENVOY_FILTER.parse(source).spec
    expect(workloadSelector.labels).toEqual(spec.selector.matchLabels)
    expect(CLUSTER.endsWith(`||${DESTINATION_RULE.parse(rule).spec.host}`)).toBe(true)
    expect(more).toEqual([])
  })

  it.skipIf(envoy === undefined)('is accepted by Envoy', async () => {
    await expectInEnvoy(patched(source), WASM_PLUGIN.parse(plugin).spec.pluginConfig)
  })
})

describe('deploy/istio/envoy-filter.yaml', () => {
  const [both, ...more] = documents('envoy-filter.yaml')

  it('puts what tells the source before the filter', () => {
    expect(patched(both).map(({ name }) => name)).toEqual([
      'envoy.filters.http.set_filter_state',
      'envoy.filters.http.wasm',
    ])
    expect(more).toEqual([])
  })

  it.skipIf(envoy === undefined)('is accepted by Envoy', async () => {
    await expectInEnvoy(patched(both))
  })
})
