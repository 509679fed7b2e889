// All that Intermix does with Redis, done once: checks shared by nodes, revocations, quotas, reports delivered, tried again and
// buried, counters, the ledger, and the commands. Each process has a URL, and so a user, of its own.
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create, type MessageShape } from '@bufbuild/protobuf'
import { Client, credentials } from '@grpc/grpc-js'
import { expect } from 'vitest'
import {
  RateLimitQuotaResponseSchema,
  RateLimitQuotaUsageReportsSchema,
} from '../../src/wire/generated/envoy/service/rate_limit_quota/v3/rlqs_pb.ts'
import type { LedgerReport } from '../../src/telemetry/ledger-report.ts'
import { type HttpBackend, startHttpBackend } from '../helpers/http-backend.ts'
import { clientMethod } from '../server/grpc-method.ts'
import { type Intermix, startCommand, startIntermix } from './intermix.ts'

/** Where Redis is, for each kind of process. */
export interface RedisFlags {
  readonly flags: (role: 'node' | 'worker' | 'operator') => readonly string[]
  /** URL for a `redisquota` with a Redis of its own; empty for that of all. */
  readonly quotaUrl: string
}

export interface RightsWorld {
  /** Does everything, and fails where something is not done. */
  exercise(): Promise<void>
  /** Asks a node for a little of each, whatever comes of it. @returns what node and worker say of Redis */
  ask(): Promise<Readonly<Record<'node' | 'worker', string>>>
  stop(): Promise<void>
}

/** Starts two nodes and a worker. */
export async function startRightsWorld({ flags, quotaUrl }: RedisFlags): Promise<RightsWorld> {
  const ends: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  }
  try {
    const backend = await startHttpBackend()
    ends.push(() => backend.close())
    const config = await mkdtemp(join(tmpdir(), 'intermix-rights-'))
    ends.push(() => rm(config, { recursive: true, force: true }))
    await writeFile(join(config, 'rights.yaml'), configText(backend.url, quotaUrl))
    const limits = join(config, 'limits')
    await mkdir(limits)
    await writeFile(join(limits, 'limits.yaml'), LIMITS)
    const start = async (role: 'node' | 'worker', nodeId: string, more: readonly string[]) => {
      const started = await startIntermix({ role, config, nodeId, flags: more })
      ends.push(() => started.child.stop())
      return started
    }
    const worker = await start('worker', 'w', flags('worker'))
    const nodeFlags = [...flags('node'), '--ratelimit-config', limits, '--rlqs']
    const nodes = [await start('node', 'a', nodeFlags), await start('node', 'b', nodeFlags)] as const
    const exercise = () => exerciseAll({ nodes, worker, backend, config, operator: flags('operator') })
    return { exercise, ask: () => ask(nodes[0], worker), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

interface Parts {
  readonly nodes: readonly [Intermix, Intermix]
  readonly worker: Intermix
  readonly backend: HttpBackend
  readonly config: string
  readonly operator: readonly string[]
}

const KINDS = ['GCRA', 'TOKEN_BUCKET', 'FIXED_WINDOW', 'SLIDING_WINDOW', 'ROLLING_WINDOW']
const HELD = ['CONCURRENCY', 'ALLOCATION']
const LIMITS = '{domain: d, descriptors: [{key: a, rate_limit: {unit: year, requests_per_unit: 1000}}]}'

let serial = 0

async function exerciseAll({ nodes, worker, backend, config, operator }: Parts): Promise<void> {
  serial += 1
  const [one, other] = nodes
  const path = `/entitled/${process.pid}/${serial}`
  const slow = { timeout: 30_000 }
  // A node keeps what it answers to itself until it follows the revocations.
  await expect
    .poll(async () => {
      const asked = `${path}/${Math.random()}`
      await check(one, asked)
      return (await check(other, asked)).tier
    }, slow)
    .toBe('mesh')
  for (const name of ['shared', 'rolling', 'elsewhere'])
    await expect.poll(() => check(one, path, { [name]: 1 }), slow).toMatchObject({ quotas: { [name]: { granted: 1 } } })

  // A node whose Redis is slow to answer goes on with its share.
  await expect.poll(async () => ((await limited(one)) ?? 0) - ((await limited(other)) ?? 0), slow).toBe(1)
  // What nodes tell each other of it follows in some seconds.
  await expect.poll(() => command(['quota', 'top', '--admin', other.adminUrl]), slow).toContain('a=b')
  const all = ['--domain', 'd', '--all', '--yes', '--admin', one.adminUrl]
  expect(await command(['quota', 'reset', ...all])).toMatch(/[1-9]\d* counters? reset/)

  for (const node of nodes) expect(await assigned(node)).toBeGreaterThan(0)
  const flight = `/flight/${process.pid}/${serial}`
  await expect.poll(async () => (await check(one, flight)).limits, slow).toMatch(/flights-2.*kinds-5/)
  const given = async () => await endedAt(other)
  const before = await given()
  await expect.poll(() => report(other, [flight]), slow).toBe(202)
  await expect.poll(given, slow).toBe(before + 1)
  const reset = ['quota', 'reset', 'kinds.handler.istio-system', 'kinds', '--admin', one.adminUrl]
  expect(await command(reset)).toMatch(/[1-9]\d* counters? reset/)

  await expect.poll(() => command(['revoke', '--all', '--admin', one.adminUrl]), slow).toContain('confirmed by 2 of 2')

  for (const status of [200, 500, 429, 413, 400]) {
    let calls = 0
    backend.answerWith(({ path: asked, body }) => {
      if (asked !== '/reports') return { status: 200 }
      calls += 1
      const again =
        status === 400 || (status === 413 && (JSON.parse(body) as { instances: unknown[] }).instances.length > 1)
      return calls > 1 && !again ? { status: 200 } : { status, headers: { 'retry-after': '1' } }
    })
    await expect.poll(() => report(one, ['/0', '/1', '/2', '/3']), slow).toBe(202)
    await expect.poll(() => calls, slow).toBeGreaterThan(status === 200 ? 0 : status === 400 ? 0 : 1)
    if (status !== 400) await expect.poll(() => settled(worker), slow).toBe(true)
  }
  const metrics = async () => await (await fetch(`${worker.prometheusUrl}/metrics`)).text()
  await expect.poll(metrics, slow).toMatch(/istio_requests_total\{.*\} \d+/)

  const list = () => command(['dead-letters', 'list', '--json', ...operator])
  await expect.poll(list, slow).toContain('"reason"')
  const ids = (await list())
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [(JSON.parse(line) as { id: string }).id]))
  backend.answerWith(() => ({ status: 200 }))
  expect(await command(['dead-letters', 'show', ids[0] ?? '', ...operator])).toContain('HTTP 400')
  expect(await command(['dead-letters', 'replay', '--all', ...operator])).toContain('replayed')
  await expect.poll(() => settled(worker), slow).toBe(true)
  backend.answerWith(() => ({ status: 400 }))
  await report(one, ['/0'])
  await expect.poll(list, slow).toContain('"reason"')
  expect(await command(['dead-letters', 'drop', '--all', ...operator])).toContain('dropped')

  const rollout = (...args: string[]) => command(['rollout', ...args, ...operator])
  expect(await rollout('publish', config)).toContain('is published')
  expect(await rollout('status')).toContain('preflight')
  expect(await rollout('history')).toContain('publish')
  expect(await rollout('diff', 'candidate', 'candidate')).toContain('are the same')
  expect(await rollout('abort')).toContain('abort')
  backend.answerWith(() => ({ status: 200 }))
  await expect.poll(() => command(['ledger', '--admin', worker.adminUrl]), slow).toContain('everything adds up')
}

async function ask(node: Intermix, worker: Intermix): Promise<Readonly<Record<'node' | 'worker', string>>> {
  serial += 1
  await Promise.all([
    check(node, `/entitled/asked/${serial}`, { shared: 1 }),
    report(node, ['/0']),
    command(['revoke', '--all', '--admin', node.adminUrl]),
  ])
  const said = async ({ adminUrl }: Intermix) => await (await fetch(`${adminUrl}/readyz`)).text()
  return { node: await said(node), worker: await said(worker) }
}

async function check(
  node: Intermix,
  path: string,
  quotas?: Record<string, number>,
): Promise<{ tier?: string; limits: string }> {
  const wanted = Object.entries(quotas ?? {}).map(([name, amount]) => [name, { amount, bestEffort: false }])
  const body = { attributes: { 'request.path': path }, quotas: Object.fromEntries(wanted) }
  const answer = await fetch(`http://127.0.0.1:${node.httpPort}/v1/check`, {
    method: 'POST',
    body: JSON.stringify(body),
  })
  const said = (await answer.json()) as { tier?: string; responseHeaders?: { name: string; value: string }[] }
  const told = said.responseHeaders?.find(({ name }) => name.toLowerCase() === 'ratelimit')?.value ?? ''
  return { ...said, limits: told }
}

/** A hit of a limit that both nodes share. @returns how many are left */
async function limited(node: Intermix): Promise<number | undefined> {
  const body = JSON.stringify({ domain: 'd', descriptors: [{ entries: [{ key: 'a', value: 'b' }] }] })
  const answer = await fetch(`http://127.0.0.1:${node.httpPort}/v1/quota`, { method: 'POST', body })
  const { statuses } = (await answer.json()) as { statuses?: readonly { limitRemaining: number }[] }
  return statuses?.[0]?.limitRemaining
}

async function report(node: Intermix, paths: readonly string[]): Promise<number> {
  const records = paths.map((path) => ({ 'request.path': path, 'response.code': 200 }))
  const url = `http://127.0.0.1:${node.httpPort}/v1/report`
  return (await fetch(url, { method: 'POST', body: JSON.stringify({ records }) })).status
}

/** How many places in flight reports have given back. */
async function endedAt({ adminUrl }: Intermix): Promise<number> {
  const text = await (await fetch(`${adminUrl}/metrics`)).text()
  return Number(/^intermix_quota_ended_total\{.*given_back.*\} (\d+)/m.exec(text)?.[1] ?? 0)
}

/** What a node assigns to a proxy that limits by itself. */
async function assigned({ grpcPort }: Intermix): Promise<number> {
  const method = clientMethod(
    '/envoy.service.rate_limit_quota.v3.RateLimitQuotaService/StreamRateLimitQuotas',
    RateLimitQuotaUsageReportsSchema,
    RateLimitQuotaResponseSchema,
  )
  const client = new Client(`127.0.0.1:${grpcPort}`, credentials.createInsecure())
  const stream = client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize)
  try {
    const usage = {
      bucketId: { bucket: { a: `${grpcPort} ${serial}` } },
      timeElapsed: { seconds: 5n },
      numRequestsAllowed: 1n,
    }
    stream.write(create(RateLimitQuotaUsageReportsSchema, { domain: 'd', bucketQuotaUsages: [usage] }))
    const [{ bucketAction }] = (await once(stream, 'data')) as [MessageShape<typeof RateLimitQuotaResponseSchema>]
    const action = bucketAction.at(-1)?.bucketAction
    const strategy = action?.case === 'quotaAssignmentAction' ? action.value.rateLimitStrategy?.strategy : undefined
    return strategy?.case === 'tokenBucket' ? strategy.value.maxTokens : 0
  } finally {
    stream.on('error', () => undefined)
    stream.cancel()
    client.close()
  }
}

/** Whether nothing is under way any more, as the ledger has it. */
async function settled(worker: Intermix): Promise<boolean> {
  const { nodes, handlers } = (await (await fetch(`${worker.adminUrl}/debug/ledger`)).json()) as LedgerReport
  const arrived = nodes.every(({ accepted, arrived: there }) => accepted === there)
  return arrived && Object.values(handlers).every(({ held, deadLetters }) => held === deadLetters)
}

async function command(args: readonly string[]): Promise<string> {
  const child = await startCommand(args)
  await child.exited
  return child.output()
}

function configText(backendUrl: string, quotaUrl: string): string {
  const quotas = (name: string, rolling: boolean) => [
    {
      name,
      maxAmount: 1_000_000,
      validDuration: '60s',
      rateLimitAlgorithm: rolling ? 'ROLLING_WINDOW' : 'FIXED_WINDOW',
    },
  ]
  const quota = (name: string, params: object) => [
    object('handler', name, { compiledAdapter: 'redisquota', params }),
    object('instance', name, { compiledTemplate: 'quota', params: { dimensions: {} } }),
    rule(name, [name]),
  ]
  const limitsOf = (name: string, kinds: readonly string[], accuracy: string, params: object) => {
    const limits = kinds.map((kind) => ({ maxAmount: 1_000, validDuration: '1h', rateLimitAlgorithm: kind }))
    return [
      object('handler', name, { compiledAdapter: 'quota', params: { quotas: [{ name, accuracy, limits }] } }),
      object('instance', name, { compiledTemplate: 'quota', params: { dimensions: {}, ...params } }),
      rule(name, [name], 'match(request.path, "/flight/*")'),
    ]
  }
  return [
    object('attributemanifest', 'proxy', {
      attributes: { 'request.path': { valueType: 'STRING' }, 'response.code': { valueType: 'INT64' } },
    }),
    object('handler', 'entitled', {
      compiledAdapter: 'http',
      params: { url: `${backendUrl}/check`, validDuration: '300s' },
      connection: { timeout: '2s' },
    }),
    object('instance', 'entitled', { compiledTemplate: 'listentry', params: { value: 'request.path | ""' } }),
    rule('entitled', ['entitled'], 'match(request.path, "/entitled*")'),
    ...limitsOf('flights', HELD, 'exact', { deduplicationId: 'request.path' }),
    ...limitsOf('kinds', KINDS, '10%', {}),
    ...quota('shared', { quotas: quotas('shared', false) }),
    ...quota('rolling', { quotas: quotas('rolling', true) }),
    ...quota('elsewhere', { redisServerUrl: quotaUrl, quotas: quotas('elsewhere', false) }),
    object('handler', 'metrics', {
      compiledAdapter: 'prometheus',
      params: {
        metrics: [
          {
            name: 'requests_total',
            instanceName: 'count.instance.istio-system',
            kind: 'COUNTER',
            labelNames: ['code'],
          },
        ],
      },
    }),
    object('handler', 'sink', { compiledAdapter: 'http', params: { url: `${backendUrl}/reports` } }),
    object('instance', 'count', {
      compiledTemplate: 'metric',
      params: { value: '1', dimensions: { code: 'response.code | 0' } },
    }),
    object('instance', 'line', { compiledTemplate: 'logentry', params: { variables: { path: 'request.path | ""' } } }),
    rule('count', ['metrics', 'count']),
    rule('line', ['sink', 'line']),
  ].join('---\n')
}

function rule(name: string, [handler, instance = handler]: readonly string[], match?: string): string {
  const actions = [{ handler, instances: [instance] }]
  return object('rule', name, { ...(match === undefined ? {} : { match }), actions })
}

/** JSON is YAML. */
function object(kind: string, name: string, spec: object): string {
  const metadata = { name, namespace: 'istio-system' }
  return `${JSON.stringify({ apiVersion: 'config.istio.io/v1alpha2', kind, metadata, spec }, null, 2)}\n`
}
