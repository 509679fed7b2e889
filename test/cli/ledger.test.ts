import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import type { LedgerFinding } from '../../src/telemetry/ledger-findings.ts'
import type { LedgerReport } from '../../src/telemetry/ledger-report.ts'
import { FakeClock } from '../helpers/clock.ts'
import { testIo } from './support.ts'

const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

/** An admin port that gives one answer after the other, the last one again and again. */
async function admin(...answers: readonly object[]): Promise<{ address: string; asked: () => number }> {
  let asked = 0
  const server = createServer((request, response) => {
    const answer = request.url === '/debug/ledger' && request.method === 'GET' ? answers[asked] : undefined
    asked = Math.min(asked + 1, answers.length - 1)
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer ?? { message: 'nothing here' }))
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { address: `--admin=http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: () => asked }
}

async function run(...args: readonly string[]) {
  const clock = new FakeClock()
  const io = { ...testIo(), clock }
  let code: number | undefined
  void runCommand(['ledger', ...args], io).then((exit) => (code = exit))
  await expect.poll(async () => (await clock.advance(500), code)).toBeDefined()
  return { code, out: io.lines.join('\n'), errors: io.errors.join('\n') }
}

const totals = { accepted: 9, delivered: 5, held: 3, deadLetters: 1, dropped: { refused: 1 }, bytes: 700, deadBytes: 0 }
const node = {
  process: 'n1-x',
  silentMs: 5,
  accepted: 9,
  delivered: 9,
  held: 0,
  stored: 0,
  recovered: 0,
  dropped: {},
  refused: {},
}

function report(findings: readonly LedgerFinding[] = [], isShared = true): LedgerReport {
  return {
    isShared,
    nodes: [{ ...node, state: 'alive', arrived: 9, lost: 0 }],
    queues: [
      { name: 'intermix-reports', jobs: 2, begun: 1 },
      {
        name: 'intermix-deliver-1',
        jobs: 0,
        begun: 0,
        about: 'handler a.handler.ns',
        servedBy: ['w1', 'w2', 'w3', 'w4'],
      },
      { name: 'intermix-deliver-2', jobs: 7, begun: 0, about: 'handler b.handler.ns', servedBy: [] },
    ],
    handlers: { 'a.handler.ns': totals },
    findings,
  }
}

const lost: LedgerFinding = { where: 'handler', name: 'a.handler.ns', atLeast: 3, message: '2 batches wait, 0 jobs' }

describe('intermix ledger', () => {
  it('shows nodes, queues and handlers, and that everything adds up', async () => {
    const { code, out } = await run((await admin(report())).address)
    expect(code).toBe(0)
    expect(out.split('\n')).toEqual([
      'Nodes, in records',
      '  PROCESS  STATE  REFUSED  ACCEPTED  QUEUED  ARRIVED  HELD  STORED  DROPPED  LOST',
      '  n1-x     alive  0               9       9        9     0       0  0           0',
      '',
      'Queues, in jobs',
      '  QUEUE               JOBS  BEGUN  ABOUT                 SERVED BY',
      '  intermix-reports       2      1',
      '  intermix-deliver-1     0      0  handler a.handler.ns  w1, w2, w3 and 1 more',
      '  intermix-deliver-2     7      0  handler b.handler.ns  nobody',
      '',
      'Fan-out, in records, and handlers, in instances',
      '  HANDLER       ACCEPTED  DELIVERED  HELD  DEAD  BYTES  DROPPED',
      '  a.handler.ns         9          5     3     1    700  1 (refused 1)',
      '',
      'everything adds up',
    ])
  })

  it('exits with 1 and says where, when it does not', async () => {
    const { code, out } = await run((await admin(report([lost]))).address)
    expect(code).toBe(1)
    expect(out).toContain('MISSING: handler a.handler.ns: at least 3: 2 batches wait, 0 jobs')
    expect(out).not.toContain('adds up')
  })

  it('looks twice: what was on its way has arrived by then, or may be so yet', async () => {
    expect(await run((await admin(report([lost]), report())).address)).toMatchObject({ code: 0 })
    const { code, out } = await run(
      (await admin(report([lost]), report([{ ...lost, isUnsettled: 'waiting' }]))).address,
    )
    expect(code).toBe(0)
    expect(out).toContain('on its way, or missing: handler a.handler.ns')
  })

  it('says what cannot be known of a process that was killed', async () => {
    const gone = { ...node, state: 'gone' as const, arrived: 9, lost: 0 }
    const { code, out } = await run((await admin({ ...report(), nodes: [gone] })).address)
    expect(code).toBe(0)
    expect(out).toContain('not known: what n1-x accepted after its last sign')
  })

  it('prints JSON', async () => {
    const { out } = await run((await admin(report([lost]))).address, '--json')
    expect(JSON.parse(out)).toEqual(report([lost]))
  })

  it('takes the word of one of several processes where they share a Redis, and adds up their own else', async () => {
    const shared = await run((await admin({ processes: { a: report(), b: report() }, silent: [] })).address, '--json')
    expect(JSON.parse(shared.out)).toEqual(report())
    const own = { processes: { a: report([], false), b: report([], false) }, silent: ['c'] }
    const added = JSON.parse((await run((await admin(own)).address, '--json')).out) as LedgerReport
    expect(added.nodes).toHaveLength(2)
    expect(added.handlers['a.handler.ns']).toEqual({
      accepted: 18,
      delivered: 10,
      held: 6,
      deadLetters: 2,
      dropped: { refused: 2 },
      bytes: 1400,
      deadBytes: 0,
    })
    expect(added.findings).toMatchObject([{ where: 'node', name: 'c', isUnsettled: 'waiting' }])
  })

  it('exits with 3 where nobody answers as a node does', async () => {
    const { code, errors } = await run('--admin=http://127.0.0.1:1')
    expect([code, errors]).toEqual([3, expect.stringContaining('no answer from')])
  })
})
