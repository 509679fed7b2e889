import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { type DeadLetter, DeadLetters } from '../../src/telemetry/dead-letters.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { testLink, untilUp } from '../redis/support.ts'
import { testIo } from './support.ts'

let redis: RedisServer
let link: RedisLink
let letters: DeadLetters
let ledger: RedisLedger

beforeEach(async () => {
  redis = await startRedis()
  link = testLink(redis.url, 1000).link
  await untilUp(link)
  ledger = new RedisLedger(link)
  letters = new DeadLetters({ link, ledger })
})

afterEach(async () => {
  await letters.close()
  link.close()
  await redis.stop()
})

function letter(id: string, handler: string, count: number): DeadLetter {
  return {
    version: 1,
    id,
    handler,
    template: 'metric',
    count,
    reason: 'schema mismatch',
    attempts: 8,
    firstFailureAt: 1_700_000_000_000,
    lastFailureAt: 1_700_000_060_000,
    replays: 0,
    content: {
      kind: 'instances',
      job: { version: 1, id, handler, template: 'metric', count, replays: 0, instances: [] },
    },
  }
}

async function run(...args: string[]) {
  const io = testIo({ env: { INTERMIX_REDIS: redis.url } })
  const code = await runCommand(['dead-letters', ...args], io)
  return { code, lines: io.lines, errors: io.errors }
}

describe('intermix dead-letters', () => {
  it('lists the oldest first, of one handler if told', async () => {
    await letters.add(letter('b-1', 'a', 2))
    await letters.add(letter('b-2', 'b', 3))
    const all = await run('list')
    expect(all.lines[0]).toBe('b-1  a  metric x2  8 attempts, last 2023-11-14T22:14:20.000Z: schema mismatch')
    expect(all.lines).toHaveLength(3)
    expect((await run('list', '--handler', 'b')).lines).toEqual([
      expect.stringContaining('b-2'),
      '1 of 2 dead letters shown',
    ])
    expect(JSON.parse((await run('list', '--json', '--limit', '1')).lines[0] ?? '')).toMatchObject({ id: 'b-1' })
  })

  it('shows one with all that is in it', async () => {
    await letters.add(letter('b-1', 'a', 2))
    const { code, lines } = await run('show', 'b-1')
    expect(code).toBe(0)
    expect(JSON.parse(lines.join('\n'))).toEqual(letter('b-1', 'a', 2))
    expect(await run('show', 'b-9')).toMatchObject({
      code: 1,
      errors: ["intermix dead-letters: there is no dead letter 'b-9'"],
    })
  })

  it('replays and drops one or all of a handler, and counts them', async () => {
    for (let i = 1; i <= 5; i++) await letters.add(letter(`b-${i}`, i < 4 ? 'a' : 'b', i))
    expect((await run('replay', 'b-1')).lines).toEqual(['replayed 1 dead letter with 1 record'])
    expect((await run('drop', '--all', '--handler', 'b')).lines).toEqual(['dropped 2 dead letters with 9 records'])
    expect((await run('replay', '--all')).lines).toEqual(['replayed 2 dead letters with 5 records'])
    expect(await letters.count()).toBe(0)
    expect((await ledger.read()).get('b')?.dropped).toEqual({ operator: 9 })
    expect((await ledger.read()).get('a')).toMatchObject({ deadLetters: 0, dropped: {} })
  })

  it.each([
    [[], 'nothing: give one of list, show, replay, drop'],
    [['shwo'], 'shwo: give one of list, show, replay, drop; did you mean show?'],
    [['show'], 'give the ID that list shows'],
    [['replay'], 'give either an ID or --all'],
    [['drop', 'x', '--all'], 'give either an ID or --all'],
    [['list', '--all'], '--all: goes with replay and drop'],
    [['list', '--queue-redis', 'none'], 'give the URL of the Redis'],
  ])('refuses %j', async (args, message) => {
    const { code, errors } = await run(...args)
    expect(code).toBe(2)
    expect(errors.join('\n')).toContain(message)
  })

  it('says what Redis wants of it', async () => {
    const admin = testLink(redis.url).link
    await untilUp(admin)
    await admin.run((client) => client.config('SET', 'requirepass', 'secret'))
    admin.close()
    expect(await run('list')).toMatchObject({ code: 3, errors: [expect.stringContaining('NOAUTH')] })
  })

  it('says that Redis cannot be reached', async () => {
    await redis.kill()
    expect(await run('list')).toMatchObject({
      code: 3,
      errors: [expect.stringMatching(/Redis at redis:.* could not be reached within 3000 ms: .*ECONNREFUSED/)],
    })
  })
})
