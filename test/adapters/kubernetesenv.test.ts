import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createTestEnvironment, createCall, ManualClock } from '../../src/adapter-kit/test-environment.ts'
import kubernetesenv from '../../src/adapters/kubernetesenv/index.ts'
import type { FieldValue } from '../../src/adapter-kit/instance.ts'

const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

const pod = (name: string, ip: string, extra: { metadata?: object; spec?: object; status?: object } = {}) => ({
  metadata: { name, namespace: 'shop', ...extra.metadata },
  spec: { serviceAccountName: 'default', containers: [], ...extra.spec },
  status: { phase: 'Running', podIP: ip, hostIP: '192.0.2.1', ...extra.status },
})

const WEB = pod('web-5d4f8-x1', '10.0.0.1', {
  metadata: {
    labels: { app: 'web', 'pod-template-hash': '5d4f8' },
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5d4f8', controller: true }],
  },
  spec: {
    containers: [
      { name: 'proxy', ports: [{ containerPort: 15001 }] },
      { name: 'app', ports: [{ containerPort: 8080 }] },
    ],
  },
})
const DB = pod('db-0', 'fd00::2', {
  metadata: { ownerReferences: [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'db', controller: true }] },
})
const LONE = pod('lone', '10.0.0.3')

/** An API server that hands out the given pods in pages of two. */
async function apiServer(pods: readonly unknown[]) {
  const state = { pods, status: 200, requests: [] as IncomingMessage[] }
  const server = createServer((request, response) => {
    state.requests.push(request)
    const { searchParams } = new URL(request.url ?? '', 'http://x')
    const from = Number(searchParams.get('continue') ?? 0)
    const more = from + 2 < state.pods.length ? { continue: String(from + 2) } : {}
    response.writeHead(state.status, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ kind: 'PodList', metadata: more, items: state.pods.slice(from, from + 2) }))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  closers.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => {
      server.close(resolve)
    })
  })
  return { ...state, state, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

async function started(url: string, params: object = {}) {
  const clock = new ManualClock()
  const env = createTestEnvironment({ fetch, clock })
  const config = kubernetesenv.config.parse({ apiServerUrl: url, tokenPath: '', ...params })
  const handler = kubernetesenv.create(config, env)
  closers.push(async () => {
    await handler.stop?.()
  })
  await handler.start?.()
  const ask = async (fields: Record<string, FieldValue>) =>
    await handler.attributes?.kubernetes?.({ name: 'k', template: 'kubernetes', fields }, createCall(env))
  return { ask, clock, env }
}

const SOURCE_IP = { sourceIp: Uint8Array.of(10, 0, 0, 1) }

describe('kubernetesenv', () => {
  it('finds pods of all pages, by uid and by address, with their deployment and the container of the port', async () => {
    const { url } = await apiServer([LONE, DB, WEB])
    const { ask } = await started(url)
    const fields = {
      sourceUid: 'kubernetes://db-0.shop',
      destinationUid: '',
      destinationIp: Uint8Array.of(10, 0, 0, 1),
      destinationPort: 8080n,
    }
    expect(await ask(fields)).toEqual({
      sourcePodUid: 'kubernetes://db-0.shop',
      sourcePodName: 'db-0',
      sourcePodIp: Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2),
      sourceLabels: new Map(),
      sourceNamespace: 'shop',
      sourceServiceAccountName: 'default',
      sourceHostIp: Uint8Array.of(192, 0, 2, 1),
      sourceWorkloadUid: 'istio://shop/workloads/db',
      sourceWorkloadName: 'db',
      sourceWorkloadNamespace: 'shop',
      sourceOwner: 'kubernetes://apis/apps/v1/namespaces/shop/statefulsets/db',
      destinationPodUid: 'kubernetes://web-5d4f8-x1.shop',
      destinationPodName: 'web-5d4f8-x1',
      destinationPodIp: Uint8Array.of(10, 0, 0, 1),
      destinationLabels: new Map([
        ['app', 'web'],
        ['pod-template-hash', '5d4f8'],
      ]),
      destinationNamespace: 'shop',
      destinationServiceAccountName: 'default',
      destinationHostIp: Uint8Array.of(192, 0, 2, 1),
      destinationWorkloadUid: 'istio://shop/workloads/web',
      destinationWorkloadName: 'web',
      destinationWorkloadNamespace: 'shop',
      destinationOwner: 'kubernetes://apis/apps/v1/namespaces/shop/deployments/web',
      destinationContainerName: 'app',
    })
  })

  it('takes a pod without a controller for its own workload', async () => {
    const { ask } = await started((await apiServer([LONE])).url)
    expect(await ask({ sourceUid: 'kubernetes://lone.shop' })).toMatchObject({
      sourceWorkloadName: 'lone',
      sourceOwner: 'kubernetes://apis/v1/namespaces/shop/pods/lone',
    })
  })

  it('finds an IPv4 address that is mapped into IPv6, and nothing for strangers', async () => {
    const { ask } = await started((await apiServer([WEB])).url)
    const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1)
    expect(await ask({ sourceIp: mapped })).toMatchObject({ sourcePodName: 'web-5d4f8-x1' })
    expect(await ask({ sourceUid: 'kubernetes://gone.shop', sourceIp: Uint8Array.of(0, 0, 0, 0) })).toEqual({})
  })

  it('does not take pods of the host network or ended pods for the owner of an address', async () => {
    const pods = [
      pod('node-agent', '10.0.0.1', { spec: { hostNetwork: true } }),
      pod('job', '10.0.0.1', { status: { phase: 'Succeeded' } }),
    ]
    const { ask } = await started((await apiServer(pods)).url)
    expect(await ask(SOURCE_IP)).toEqual({})
    expect(await ask({ sourceUid: 'kubernetes://job.shop' })).toMatchObject({ sourcePodName: 'job' })
  })

  it('finds a pod by each of its addresses', async () => {
    const both = pod('db-0', '10.9.0.6', { status: { podIPs: [{ ip: '10.9.0.6' }, { ip: 'fd00::6' }, {}] } })
    const onlyList = pod('db-1', '', { status: { podIP: undefined, podIPs: [{ ip: '10.9.0.7' }] } })
    const { ask } = await started((await apiServer([both, onlyList])).url)
    const second = Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6)
    for (const ip of [Uint8Array.of(10, 9, 0, 6), second]) {
      expect(await ask({ sourceIp: ip })).toMatchObject({ sourcePodName: 'db-0' })
    }
    expect(await ask({ sourceIp: Uint8Array.of(10, 9, 0, 7) })).toMatchObject({ sourcePodName: 'db-1' })
  })

  it.each(['source', 'destination'])(
    'does not take the pod at the %s address for one that has vanished',
    async (side) => {
      const { ask } = await started((await apiServer([WEB])).url)
      const vanished = { [`${side}Uid`]: 'kubernetes://gone.shop', [`${side}Ip`]: SOURCE_IP.sourceIp }
      expect(await ask(vanished)).toEqual({})
    },
  )

  it('tells a pod by an address only where no other one can be meant', async () => {
    const leaving = { metadata: { deletionTimestamp: '2026-01-15T12:00:00Z' } }
    const old = pod('old', '10.0.0.1', leaving)
    const older = pod('older', '10.0.0.1', leaving)
    const [heir, rival] = [pod('heir', '10.0.0.1'), pod('rival', '10.0.0.1')]
    const named = async (...pods: object[]) => {
      const { ask } = await started((await apiServer(pods)).url)
      return (await ask(SOURCE_IP))?.['sourcePodName']
    }
    expect(await named(old)).toBe('old')
    expect(await named(old, heir)).toBe('heir')
    expect(await named(heir, old)).toBe('heir')
    expect(await named(old, older, heir)).toBe('heir')
    expect(await named(old, older)).toBeUndefined()
    expect(await named(heir, old, rival)).toBeUndefined()
    expect(await named(heir, rival, pod('third', '10.0.0.1'))).toBeUndefined()
  })

  it('sends the token as it is in the file now', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'intermix-token-'))
    closers.push(() => rm(folder, { recursive: true }))
    const tokenPath = join(folder, 'token')
    await writeFile(tokenPath, 'first\n')
    const { url, state } = await apiServer([WEB])
    await started(url, { tokenPath, namespace: 'shop' })
    expect(state.requests[0]?.headers.authorization).toBe('Bearer first')
    expect(state.requests[0]?.url).toBe('/api/v1/namespaces/shop/pods?limit=500')
  })

  it('has no attributes to give before the first list', async () => {
    const { url, state } = await apiServer([WEB])
    state.status = 403
    const { ask } = await started(url)
    await expect(ask(SOURCE_IP)).rejects.toMatchObject({
      code: 'BACKEND_FAILED',
      message: expect.stringContaining('403'),
    })
  })

  it('says why it refuses what Mixer had and this has not', () => {
    const params = kubernetesenv.config.parse({ kubeconfigPath: '/k', clusterRegistriesNamespace: 'n' })
    expect(kubernetesenv.validate?.(params).map(({ path }) => path[0])).toEqual([
      'kubeconfigPath',
      'clusterRegistriesNamespace',
    ])
  })
})
