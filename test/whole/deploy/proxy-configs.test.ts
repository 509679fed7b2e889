// The shipped configs of Envoy and Prometheus name what the compose file has, and Envoy itself accepts its own.
import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { SETTINGS } from '../../../src/settings/settings-table.ts'
import { ENVOY_BOOTSTRAP, ENVOY_SHARDED, ENVOY_SIDECAR, ENVOY_WASM } from '../../helpers/envoy.ts'
import { toolOrSkip } from '../../helpers/tools.ts'
import { expectAccepted } from './accepted.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const read = (path: string): unknown => parse(readFileSync(join(root, path), 'utf8'), { merge: true })
const { services } = read('docker-compose.yml') as { services: Record<string, unknown> }
const envoy = toolOrSkip('envoy')

const SECONDS = z.string().regex(/^\d+s$/)
const PROMETHEUS = z.strictObject({
  global: z.strictObject({ scrape_interval: SECONDS, scrape_timeout: SECONDS }),
  scrape_configs: z.array(
    z.strictObject({
      job_name: z.string(),
      dns_sd_configs: z.array(
        z.strictObject({
          names: z.array(z.string()),
          type: z.enum(['A', 'AAAA', 'SRV', 'MX', 'NS']),
          port: z.int(),
          refresh_interval: SECONDS,
        }),
      ),
    }),
  ),
})

describe.each([ENVOY_BOOTSTRAP, ENVOY_SHARDED, ENVOY_SIDECAR, ENVOY_WASM].map((path) => relative(root, path)))(
  '%s',
  (path) => {
    it.skipIf(envoy === undefined)('is accepted by Envoy', async () => {
      await expectAccepted(readFileSync(join(root, path), 'utf8'))
    })

    it('leads to services of the compose file', () => {
      const addresses = [...JSON.stringify(read(path)).matchAll(/"address":"([a-z-]+)","port_value":(\d+)/g)]
      const hasSidecar = path.includes('sidecar')
      expect(addresses.map(([, host]) => host)).toEqual(hasSidecar ? ['upstream'] : ['node', 'upstream'])
      for (const [, host] of addresses) expect(Object.keys(services)).toContain(host)
      if (hasSidecar) {
        const { command } = services['sidecar'] as { readonly command: readonly string[] }
        const [, socket = ''] = /"pipe":\{"path":"([^"]+)"/.exec(JSON.stringify(read(path))) ?? []
        expect(command).toContain(`unix:${socket}`)
      } else expect(Number(addresses[0]?.[2])).toBe(SETTINGS.grpcAddress.default.port)
    })

    it('sets attributes of the config that the compose file serves: others would be passed over', () => {
      // The filter's are in a text that is JSON itself.
      const text = JSON.stringify(read(path)).replaceAll(/\\n\s*|\\/g, '')
      const extensions = [...text.matchAll(/"context_extensions": ?(\{[^}]*\})/g)]
      const names = extensions.flatMap(([, object = '{}']) => Object.keys(JSON.parse(object) as object))
      expect(names).not.toEqual([])
      const manifest = read('examples/quickstart/attributes.yaml') as { spec: { attributes: object } }
      for (const name of names) expect(Object.keys(manifest.spec.attributes)).toContain(name)
    })
  },
)

describe('deploy/prometheus/prometheus.yml', () => {
  it('scrapes the listeners of every node and worker', () => {
    const config = PROMETHEUS.parse(read('deploy/prometheus/prometheus.yml'))
    const targets = config.scrape_configs.flatMap(({ dns_sd_configs: sources }) =>
      sources.flatMap(({ names, port }) => names.map((name) => `${name}:${port}`)),
    )
    const admin = SETTINGS.adminAddress.default.port
    expect(targets).toEqual([`node:${admin}`, `worker:${admin}`, `worker:${SETTINGS.prometheusAddress.default.port}`])
    for (const target of targets) expect(Object.keys(services)).toContain(target.split(':')[0])
  })
})
