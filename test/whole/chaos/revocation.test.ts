// Two node processes: what one of them has acknowledged as revoked, the other does not serve, fresh or stale.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Intermix, ROOT } from '../intermix.ts'
import { type Mesh, startMesh } from '../mesh.ts'
import { spawnChild } from '../../helpers/process.ts'
import { until } from '../../redis/support.ts'

let mesh: Mesh
let one: Intermix
let two: Intermix

beforeAll(async () => {
  mesh = await startMesh({ nodes: 2, workers: 0 })
  const [first, second] = mesh.nodes
  if (first === undefined || second === undefined) throw new Error('no nodes')
  one = first
  two = second
})
afterAll(() => mesh.stop())

async function post(node: Intermix, path: string, body: object) {
  const headers = { 'content-type': 'application/json' }
  const url = path === '/v1/revocations' ? node.adminUrl : `http://127.0.0.1:${node.httpPort}`
  const answer = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

/** `tier code` of a check. */
async function ask(node: Intermix, user: string): Promise<string> {
  const attributes = { 'request.path': '/entitled', 'request.headers': { 'x-user': user } }
  const { body } = await post(node, '/v1/check', { attributes })
  return `${String(body['tier'])} ${String((body['status'] as { code: number } | undefined)?.code)}`
}

const up = (maxAge: number) =>
  mesh.policyBackend.answerWith(() => ({ status: 200, headers: { 'cache-control': `max-age=${maxAge}` } }))
const down = () => mesh.policyBackend.answerWith(() => ({ status: 503 }))

/** Leaves the user's verdict, an allowance, with both nodes, and the backend down. */
async function allowedByBoth(user: string, state: 'fresh' | 'stale'): Promise<void> {
  up(state === 'fresh' ? 300 : 1)
  const allowed = async () => {
    const answers = [await ask(one, user), await ask(two, user)]
    return answers.every((answer) => answer.endsWith(' 0'))
  }
  await until(allowed, 'both nodes allow', 60_000)
  down()
  const tier = state === 'fresh' ? 'local' : 'stale'
  for (const node of [one, two]) await until(async () => (await ask(node, user)) === `${tier} 0`, `served ${tier}`)
}

const HANDLER = 'entitlements.handler.istio-system'
const TARGETS = {
  handler: () => ({ kind: 'handler', handler: HANDLER }),
  'attribute value': () => ({ kind: 'attribute', name: 'request.path', value: '/entitled' }),
  'value of a header': (user: string) => ({ kind: 'attribute', name: 'request.headers', key: 'x-user', value: user }),
  all: () => ({ kind: 'all' }),
}
const FLAGS = {
  handler: () => ['--handler', HANDLER],
  'attribute value': () => ['-a', 'request.path=/entitled'],
  'value of a header': (user: string) => ['-a', `request.headers[x-user]=${user}`],
  all: () => ['--all'],
}
const KINDS = ['handler', 'attribute value', 'value of a header', 'all'] as const
let users = 0

describe.each(['fresh', 'stale'] as const)('a %s verdict, with the backend down, is served nowhere', (state) => {
  it.each(KINDS)('once POST /v1/revocations has revoked by %s', async (kind) => {
    const user = `user-${++users}`
    await allowedByBoth(user, state)
    const { status, body } = await post(one, '/v1/revocations', TARGETS[kind](user))
    expect([status, body['unconfirmed']]).toEqual([200, []])
    expect([...(body['confirmed'] as string[])].sort()).toEqual(['node-1', 'node-2'])
    for (const node of [two, one]) expect(await ask(node, user)).not.toMatch(/ 0$/)
  })

  it.each(KINDS)('once `intermix revoke` has revoked by %s', async (kind) => {
    const user = `user-${++users}`
    await allowedByBoth(user, state)
    const flags = ['src/main.ts', 'revoke', ...FLAGS[kind](user), '--admin', one.adminUrl]
    const command = await spawnChild(process.execPath, flags, { cwd: ROOT })
    const { code } = await command.exited
    expect([code, command.output()]).toEqual([0, expect.stringContaining('confirmed by 2 of 2 nodes')])
    for (const node of [two, one]) expect(await ask(node, user)).not.toMatch(/ 0$/)
  })
})

describe('a revocation by the value of a header', () => {
  it('leaves the verdicts of others alone', async () => {
    await allowedByBoth('user-eve', 'fresh')
    await allowedByBoth('user-bob', 'fresh')
    await post(one, '/v1/revocations', TARGETS['value of a header']('user-eve'))
    expect(await ask(two, 'user-eve')).not.toMatch(/ 0$/)
    for (const node of [one, two]) expect(await ask(node, 'user-bob')).toBe('local 0')
  })
})

describe('a node that hangs', () => {
  it('is named by the acknowledgement, and the other one obeys', async () => {
    await allowedByBoth('user-mallory', 'fresh')
    two.child.signal('SIGSTOP')
    try {
      const { status, body } = await post(one, '/v1/revocations', { kind: 'all' })
      expect([status, body['confirmed'], body['unconfirmed']]).toEqual([202, ['node-1'], ['node-2']])
      expect(await ask(one, 'user-mallory')).not.toMatch(/ 0$/)
    } finally {
      two.child.signal('SIGCONT')
    }
    await until(async () => !(await ask(two, 'user-mallory')).endsWith(' 0'), 'it obeys once it runs again')
  })
})
