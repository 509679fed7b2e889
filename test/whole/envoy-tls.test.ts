// A real Envoy that calls a node over mutual TLS; what it has to say without a certificate is refused.
import { afterEach, describe, expect, it } from 'vitest'
import { type Certificates, createCertificates } from '../helpers/certificates.ts'
import { type Envoy, startEnvoy } from '../helpers/envoy.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { sendAll } from './load.ts'
import { type Mesh, startMesh } from './mesh.ts'
import { expectedStatus, mixedRequests } from './policy.ts'

const binary = toolOrSkip('envoy')
const openssl = toolOrSkip('openssl')
const REQUESTS = 400
const CLUSTER = ['static_resources', 'clusters', 0]

let certificates: Certificates | undefined
let mesh: Mesh | undefined
const envoys: Envoy[] = []
afterEach(async () => {
  for (const envoy of envoys.splice(0)) await envoy.stop()
  await mesh?.stop()
  await certificates?.remove()
})

/** Envoy's TLS to its first cluster, the nodes, which it checks against the authority. */
function tls({ authority, certificate, key }: Certificates, own: boolean) {
  const file = (filename: string) => ({ filename })
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      sni: 'localhost',
      common_tls_context: {
        alpn_protocols: ['h2'],
        validation_context: {
          trusted_ca: file(authority),
          match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'localhost' } }],
        },
        ...(own && { tls_certificates: [{ certificate_chain: file(certificate), private_key: file(key) }] }),
      },
    },
  }
}

describe.skipIf(binary === undefined || openssl === undefined)('Envoy with a node over TLS', () => {
  it('is answered where both have certificates, and only then', async () => {
    const files = await createCertificates()
    certificates = files
    const { authority, certificate, key } = files
    const tlsFlags = ['--grpc-tls-cert', certificate, '--grpc-tls-key', key, '--grpc-tls-client-ca', authority]
    const running = await startMesh({ nodes: 1, workers: 1, nodeFlags: ['--transport', 'native', ...tlsFlags] })
    mesh = running
    const start = async (own: boolean) => {
      const envoy = await startEnvoy({
        binary: binary ?? '',
        nodePorts: running.nodes.map(({ grpcPort }) => grpcPort),
        upstreamPort: running.upstream.port,
        adapt: (document) => document.setIn([...CLUSTER, 'transport_socket'], tls(files, own)),
      })
      envoys.push(envoy)
      return envoy
    }
    const envoy = await start(true)
    const requests = mixedRequests(REQUESTS)
    expect((await sendAll({ url: envoy.url, requests })).wrong).toEqual([])
    expect(running.upstream.count).toBe(requests.filter((asked) => expectedStatus(asked) === 200).length)
    await expect.poll(() => running.countedRequests()).toBe(REQUESTS)

    const stranger = await start(false)
    const refused = await sendAll({ url: stranger.url, requests: requests.slice(0, 5) })
    expect(refused.wrong).toHaveLength(5)
    expect(running.upstream.count).toBe(requests.filter((asked) => expectedStatus(asked) === 200).length)
  })
})
