// The mesh tier and revocations over each kind of Redis that operators run: Cluster, Sentinel, ACL users, TLS.

import { afterEach, describe, expect, it } from 'vitest'
import { type Intermix, startIntermix } from '../intermix.ts'
import { writePolicy } from '../policy.ts'
import { startHttpBackend } from '../../helpers/http-backend.ts'
import { freePort } from '../../helpers/ports.ts'
import { startRedis } from '../../helpers/redis.ts'
import { startCluster } from '../../helpers/redis-cluster.ts'
import { startSentinel } from '../../helpers/redis-sentinel.ts'
import { until } from '../../redis/support.ts'
import { createCertificates } from '../../helpers/certificates.ts'
import { type ChaosMesh, startChaosMesh } from './nodes.ts'

const ends: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function meshOn(...flags: string[]): Promise<ChaosMesh> {
  const mesh = await startChaosMesh(flags)
  ends.push(() => mesh.stop())
  return mesh
}

/** Verdicts are shared, and a revocation at one node is in force at the other when it is acknowledged. */
async function works({ nodes, untilShared }: ChaosMesh): Promise<void> {
  // Not an earlier one: until a node has found the revocations in Redis, it keeps what it was told for itself.
  const user = await untilShared()
  for (const node of nodes) expect((await node.ask(user)).tier).toBe('local')
  const { status, body } = await nodes[0].revoke({ kind: 'handler', handler: 'entitlements.handler.istio-system' })
  expect([status, body]).toEqual([200, expect.objectContaining({ unconfirmed: [] })])
  expect([...(body['confirmed'] as string[])].sort()).toEqual(['n1', 'n2'])
  expect((await nodes[1].ask(user)).tier).toBe('backend')
}

describe('verdicts are shared and revoked over', () => {
  it('a cluster of three masters, and answered while one of them is gone', async () => {
    const cluster = await startCluster({ replicas: 0 })
    ends.push(() => cluster.stop())
    const mesh = await meshOn('--redis', cluster.url)
    await works(mesh)
    const [, , third = 0] = cluster.ports
    cluster.pause(third)
    await mesh.askNew(30)
    cluster.resume(third)
    await until(async () => (await mesh.nodes[0].revoke({ kind: 'all' })).status === 200, 'revocations work again')
    await mesh.untilShared()
  })

  it('a master that Sentinel names', async () => {
    const sentinel = await startSentinel({ replicas: 1, sentinels: 1 })
    ends.push(() => sentinel.stop())
    await works(await meshOn('--redis', sentinel.url))
  })

  it('a numbered database', async () => {
    const redis = await startRedis({ args: [] })
    ends.push(() => redis.stop())
    const url = new URL(redis.url)
    if (url.pathname === '') url.pathname = '/5'
    await works(await meshOn('--redis', url.href))
  })

  it('an ACL user who may touch nothing but the keys of Intermix', async () => {
    const rights = ['~intermix*', '~{intermix*', '&*', '+@all', '-@admin', '-@dangerous', '+info']
    const args = ['--user', 'mesh', 'on', '>p@ss:w/rd', ...rights, '--user', 'default', 'off']
    const redis = await startRedis({ args })
    ends.push(() => redis.stop())
    await works(await meshOn('--redis', `redis://mesh:${encodeURIComponent('p@ss:w/rd')}@127.0.0.1:${redis.port}`))
  })

  it('nothing where the password is wrong, which is Redis being down', async () => {
    const redis = await startRedis({ args: ['--requirepass', 'right'] })
    ends.push(() => redis.stop())
    const { askNew, nodes } = await meshOn('--redis', `redis://:wrong@127.0.0.1:${redis.port}`)
    expect(await askNew(5)).toEqual(expect.not.arrayContaining(['mesh']))
    expect((await nodes[0].revoke({ kind: 'all' })).status).toBe(503)
  })
})

describe('over TLS', () => {
  async function startTls() {
    const certificates = await createCertificates()
    ends.push(() => certificates.remove())
    const port = await freePort()
    const { authority, certificate, key } = certificates
    const files = ['--tls-cert-file', certificate, '--tls-key-file', key, '--tls-ca-cert-file', authority]
    const redis = await startRedis({ args: ['--tls-port', String(port), ...files, '--tls-auth-clients', 'no'] })
    ends.push(() => redis.stop())
    return { url: `rediss://127.0.0.1:${port}`, authority }
  }

  async function startNode(nodeId: string, url: string): Promise<Intermix> {
    const backend = await startHttpBackend()
    ends.push(() => backend.close())
    const policy = await writePolicy(backend.url)
    ends.push(() => policy.remove())
    const node = await startIntermix({ role: 'node', config: policy.directory, nodeId, flags: ['--redis', url] })
    ends.push(() => node.child.stop())
    return node
  }

  const revoke = async ({ adminUrl }: Intermix) => {
    const headers = { 'content-type': 'application/json' }
    const url = `${adminUrl}/v1/revocations`
    return (await fetch(url, { method: 'POST', headers, body: '{"kind":"all"}' })).status
  }

  it('an authority of its own is given by NODE_EXTRA_CA_CERTS', async () => {
    const { url, authority } = await startTls()
    process.env['NODE_EXTRA_CA_CERTS'] = authority
    try {
      const node = await startNode('tls', url)
      await until(async () => (await revoke(node)) === 200, 'the node has signed in')
    } finally {
      delete process.env['NODE_EXTRA_CA_CERTS']
    }
  })

  it('a server whose authority is not known is not spoken to', async () => {
    const { url } = await startTls()
    const node = await startNode('tls', url)
    const enoughAt = performance.now() + 2_000
    while (performance.now() < enoughAt) expect(await revoke(node)).toBe(503)
  })
})
