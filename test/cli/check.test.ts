import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import { freePort } from '../helpers/ports.ts'
import { type TestIo, testIo } from './support.ts'

const runCheck = (args: readonly string[], io: TestIo) => runCommand(['check', ...args], io)
const runReport = (args: readonly string[], io: TestIo) => runCommand(['report', ...args], io)

interface Seen {
  readonly path: string | undefined
  readonly body: unknown
}

const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

/** A node's HTTP API with given answers, one after the other; the last one stays. */
async function node(...answers: { status?: number; body: unknown }[]) {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    void json(request).then((received) => {
      seen.push({ path: request.url, body: received })
      const { status = 200, body } = answers[Math.min(seen.length, answers.length) - 1] ?? { body: {} }
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { address: `--address=http://127.0.0.1:${port}/`, seen }
}

const allowed = {
  status: { code: 0, message: '' },
  validForMs: 58_800,
  validUses: 9_999,
  tier: 'mesh',
  ageMs: 1_200,
  referenced: [
    { name: 'source.ip', condition: 'EXACT', whole: false },
    { name: 'request.headers', key: 'x-user', condition: 'ABSENCE', whole: false },
  ],
  requestHeaders: [{ name: 'x-team', value: 'a', operation: 'REPLACE' }],
  responseHeaders: [{ name: 'server', value: '', operation: 'REMOVE' }],
  quotas: { requestcount: { status: { code: 0, message: '' }, granted: 2, validForMs: 1_000 } },
}
const denied = {
  ...allowed,
  status: { code: 7, message: 'not on the list' },
  quotas: {},
  directResponse: { code: 418, body: 'tea', headers: {} },
}

describe('intermix check', () => {
  it('sends attributes and quotas, shows everything the answer says and exits with 0', async () => {
    const { address, seen } = await node({ body: allowed })
    const io = testIo()
    const args = [address, '-a', 'source.ip=10.0.0.7', '-a', 'x.text=a=b,c', '--quota=requestcount=2', '--best-effort']
    expect(await runCheck([...args, '--deduplication-id', 'd1'], io)).toBe(0)
    expect(seen).toEqual([
      {
        path: '/v1/check',
        body: {
          attributes: { 'source.ip': '10.0.0.7', 'x.text': 'a=b,c' },
          quotas: { requestcount: { amount: 2, bestEffort: true } },
          deduplicationId: 'd1',
        },
      },
    ])
    expect(io.errors).toEqual([])
    expect(io.lines.map((line) => line.replace(/ {2,}/g, '  '))).toEqual([
      'allowed',
      '  tier  mesh, 1.2s old',
      '  validity  58.8s, 9999 uses',
      '  referenced  source.ip',
      '  referenced  request.headers["x-user"] (absent)',
      '  request header  replace x-team: a',
      '  response header  remove server',
      '  quota requestcount  granted 2, valid for 1s',
    ])
  })

  it('exits with 1 when denied, whatever the HTTP status and the spelling of the code', async () => {
    for (const answer of [
      { body: denied },
      { status: 403, body: { ...denied, status: { code: 'PERMISSION_DENIED', message: 'no' } } },
    ]) {
      const { address } = await node(answer)
      const io = testIo()
      expect(await runCheck([address], io)).toBe(1)
      expect(io.lines[0]).toMatch(/^denied \(PERMISSION_DENIED: (not on the list|no)\)$/)
      expect(io.lines.join()).toContain('HTTP 418 "tea"')
    }
  })

  it('exits with 1 when a quota was not granted', async () => {
    const quotas = { rl: { status: { code: 8, message: 'used up' }, granted: 0, validForMs: 0 } }
    const { address } = await node({ body: { ...allowed, quotas } })
    const io = testIo()
    expect(await runCheck([address, '-q', 'rl=1'], io)).toBe(1)
    expect(io.lines.join('\n')).toContain('RESOURCE_EXHAUSTED: used up')
  })

  it('repeats, a line an answer, and exits by the worst of them', async () => {
    const { address, seen } = await node({ body: allowed }, { body: denied }, { body: allowed })
    const io = testIo()
    expect(await runCheck([address, '--repeat', '3'], io)).toBe(1)
    expect(seen).toHaveLength(3)
    expect(io.lines[0]).toBe('1: allowed, from mesh, 1.2s old; quota requestcount: granted 2, valid for 1s')
    expect(io.lines[1]).toContain('2: denied')
  })

  it('reads attributes in place, from a file and from standard input, and lets -a win', async () => {
    const text = '{"a":1,"b":{"k":"v"}}'
    for (const source of [text, '@bag.json', '-']) {
      const { address, seen } = await node({ body: allowed })
      const io = testIo({ files: { 'bag.json': text }, stdin: text })
      expect(await runCheck([address, '--attributes', source, '-a', 'a=2', '--json'], io)).toBe(0)
      expect(seen[0]?.body).toEqual({ attributes: { a: '2', b: { k: 'v' } } })
      expect(JSON.parse(io.lines[0] ?? '')).toEqual(allowed)
    }
  })

  it('sends text first, and booleans and maps as such where the node wants them', async () => {
    const problems = [
      { code: 'wrong-type', path: 'attributes.conn.mtls', message: 'must be true or false' },
      { code: 'wrong-type', path: 'attributes.source.labels', message: 'must be an object' },
    ]
    const refused = { status: 400, body: { error: { code: 'INVALID_REQUEST', message: 'wrong', problems } } }
    const { address, seen } = await node(refused, { body: allowed })
    const args = ['-a', 'conn.mtls=true', '-a', 'source.labels={"app":"web"}', '-a', 'source.name=true', '--repeat=2']
    expect(await runCheck([address, ...args], testIo())).toBe(0)
    const typed = { 'conn.mtls': true, 'source.labels': { app: 'web' }, 'source.name': 'true' }
    const bodies = seen.map(({ body }) => (body as { attributes: unknown }).attributes)
    expect(bodies).toEqual([{ ...typed, 'conn.mtls': 'true', 'source.labels': '{"app":"web"}' }, typed, typed])
  })

  it('asks once only when what the node refuses cannot be written otherwise', async () => {
    const problems = [{ code: 'wrong-type', path: 'attributes.size', message: 'must be a whole number' }]
    const { address, seen } = await node({ status: 400, body: { error: { message: 'wrong', problems } } })
    expect(await runCheck([address, '-a', 'size=big'], testIo())).toBe(3)
    expect(seen).toHaveLength(1)
  })

  it('tells the node how long the caller waits when that was said', async () => {
    const { address, seen } = await node({ body: allowed })
    expect(await runCheck([address, '--timeout=2s'], testIo())).toBe(0)
    expect(seen[0]?.body).toEqual({ attributes: {}, timeoutMs: 2000 })
  })

  it('takes the address from the environment', async () => {
    const { address, seen } = await node({ body: allowed })
    const io = testIo({ env: { INTERMIX_ADDRESS: address.replace('--address=', '') } })
    expect(await runCheck([], io)).toBe(0)
    expect(seen).toHaveLength(1)
  })

  it('names every wrong argument at once and exits with 2 without asking', async () => {
    const { address, seen } = await node({ body: allowed })
    const io = testIo()
    const args = [
      address,
      '-a',
      'nothing',
      '--quota',
      'rl=lots',
      '--repeet',
      '2',
      'extra',
      '--repeat=0',
      '--address=ftp://x',
    ]
    expect(await runCheck(args, io)).toBe(2)
    expect(io.errors).toHaveLength(6)
    expect(io.errors.join('\n')).toContain('did you mean --repeat?')
    expect(io.errors).toContain('intermix check: extra: check takes flags only; attributes are -a NAME=VALUE')
    expect(seen).toEqual([])
  })

  it.each([
    ['{', 'not JSON'],
    ['[1]', 'JSON object'],
    ['@gone.json', 'cannot read gone.json (ENOENT)'],
  ])('exits with 2 for --attributes %s', async (source, reason) => {
    const io = testIo()
    expect(await runCheck(['--attributes', source], io)).toBe(2)
    expect(io.errors[0]).toContain(reason)
  })

  it('exits with 3 when nothing listens, the answer is none, or the node refuses', async () => {
    const silent = testIo()
    expect(await runCheck([`--address=http://127.0.0.1:${await freePort()}`], silent)).toBe(3)
    expect(silent.errors[0]).toContain('nothing listens there')

    const stranger = await node({ body: '<html>' })
    const confused = testIo()
    expect(await runCheck([stranger.address], confused)).toBe(3)
    expect(confused.errors[0]).toContain('is this an Intermix node?')

    const problems = [{ code: 'invalid-field', path: 'a.b', message: 'no such attribute' }]
    const body = { error: { code: 'INVALID_REQUEST', message: 'attributes are wrong', problems } }
    const strict = await node({ status: 400, body })
    const refused = testIo()
    expect(await runCheck([strict.address], refused)).toBe(3)
    expect(refused.errors).toEqual([
      'intermix check: the node refused (HTTP 400): attributes are wrong',
      '  a.b: no such attribute',
    ])
  })

  it('gives up after --timeout', async () => {
    const server = createServer(() => {})
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const io = testIo()
    const { port } = server.address() as AddressInfo
    expect(await runCheck([`--address=http://127.0.0.1:${port}`, '--timeout=30ms'], io)).toBe(3)
    expect(io.errors[0]).toContain('nothing within 30 ms')
  })
})

describe('intermix report', () => {
  it('sends one record from the command line', async () => {
    const { address, seen } = await node({ status: 202, body: {} })
    const io = testIo()
    expect(await runReport([address, '-a', 'response.code=200'], io)).toBe(0)
    expect(seen).toEqual([{ path: '/v1/report', body: { records: [{ 'response.code': '200' }] } }])
    expect(io.lines).toEqual(['1 record accepted'])
  })

  it.each([
    ['an array', '[{"a":1},{"a":2}]'],
    ['an object a line', '{"a":1}\n{"a":2}\n'],
  ])('sends records from %s, each with the attributes of -a, as often as asked', async (_, text) => {
    const { address, seen } = await node({ body: {} })
    const io = testIo({ stdin: text })
    expect(await runReport([address, '--attributes=-', '-a', 'z=1', '--repeat=2'], io)).toBe(0)
    const records = [
      { a: 1, z: '1' },
      { a: 2, z: '1' },
    ]
    expect(seen.map(({ body }) => body)).toEqual([{ records: [...records, ...records] }])
    expect(io.lines).toEqual(['4 records accepted'])
  })

  it('learns types from the node for every record', async () => {
    const problems = [{ code: 'wrong-type', path: 'records[0].mtls', message: 'must be true or false' }]
    const { address, seen } = await node({ status: 400, body: { error: { message: 'wrong', problems } } }, { body: {} })
    expect(await runReport([address, '-a', 'mtls=true', '--repeat=2'], testIo())).toBe(0)
    expect(seen.at(-1)?.body).toEqual({ records: [{ mtls: true }, { mtls: true }] })
  })

  it('sends many records in requests of a thousand', async () => {
    const { address, seen } = await node({ body: {} })
    const io = testIo()
    expect(await runReport([address, '-a', 'a=1', '--repeat=2500'], io)).toBe(0)
    expect(seen.map(({ body }) => (body as { records: unknown[] }).records.length)).toEqual([1000, 1000, 500])
    expect(io.lines).toEqual(['2500 records accepted'])
  })

  it('exits with 2 when there is nothing to send or it is no record', async () => {
    for (const args of [[], ['--attributes', '[]'], ['--attributes', '{"a":1}\n{"a":}'], ['--attributes=3']]) {
      const io = testIo()
      expect(await runReport(args, io)).toBe(2)
      expect(io.errors).toHaveLength(1)
    }
  })

  it('exits with 3 when the node does not take them', async () => {
    const { address } = await node({ status: 503, body: { code: 'UNAVAILABLE', message: 'no config yet' } })
    const io = testIo()
    expect(await runReport([address, '-a', 'a=1'], io)).toBe(3)
    expect(io.errors[0]).toContain('no config yet')
  })
})
