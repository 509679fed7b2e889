// `intermix quota` against real nodes: over Redis any of them answers for all, and a reset counts for all.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import type { QuotaAnswer } from '../../src/policy/quota-counters.ts'
import { testIo } from '../cli/support.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Intermix, startIntermix } from './intermix.ts'

/** Windows of a year: none ends while a test runs, or hardly ever. */
const CONFIG = `
apiVersion: intermix.dev/v1
kind: attributemanifest
metadata: {name: words}
spec: {attributes: {request.headers: {valueType: STRING_MAP}}}
---
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: limit}
spec:
  actions:
    - handler:
        adapter: quota
        params:
          quotas:
            - {name: per-key, limits: [{maxAmount: 5, calendar: year}, {maxAmount: 50, calendar: month}]}
            - {name: loose, limits: [{maxAmount: 1000, validDuration: 1h}], accuracy: 50%}
      instances:
        - {name: per-key, template: quota, params: {dimensions: {key: 'request.headers["x-key"]'}}}
        - {name: loose, template: quota, params: {dimensions: {all: '"all"'}}}
`
const LIMITS = 'domain: shop\ndescriptors: [{key: a, rate_limit: {unit: year, requests_per_unit: 2}}]\n'
const HANDLER = 'limit-1'

const ends: (() => Promise<unknown>)[] = []
let folder: string
let limits: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'intermix-quota-'))
  limits = await mkdtemp(join(tmpdir(), 'intermix-limits-'))
  for (const each of [folder, limits]) ends.push(() => rm(each, { recursive: true, force: true }))
  await writeFile(join(folder, 'config.yaml'), CONFIG)
  await writeFile(join(limits, 'shop.yaml'), LIMITS)
})
afterAll(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function start(nodeId: string, flags: readonly string[]): Promise<Intermix> {
  const all = ['--ratelimit-config', limits, '--redis-timeout', '2s', ...flags]
  const node = await startIntermix({ role: 'node', config: folder, nodeId, flags: all })
  ends.push(() => node.child.stop())
  return node
}

const post = async ({ httpPort }: Intermix, path: string, body: object) =>
  (await (
    await fetch(`http://127.0.0.1:${httpPort}${path}`, { method: 'POST', body: JSON.stringify(body) })
  ).json()) as {
    status?: { code: number }
    overallCode?: string
  }
const check = async (node: Intermix, key: string) =>
  (await post(node, '/v1/check', { attributes: { 'request.headers': { 'x-key': key } } })).status?.code
const hit = async (node: Intermix, value: string) =>
  (await post(node, '/v1/quota', { domain: 'shop', descriptors: [{ entries: [{ key: 'a', value }] }] })).overallCode

async function command(node: Intermix, ...args: readonly string[]) {
  const io = testIo()
  const code = await runCommand(['quota', ...args, '--admin', node.adminUrl], io)
  return { code, out: [...io.lines, ...io.errors].join('\n') }
}
async function asked(node: Intermix, ...args: readonly string[]): Promise<QuotaAnswer> {
  const { code, out } = await command(node, ...args, '--json')
  expect(code, out).toBe(0)
  return JSON.parse(out) as QuotaAnswer
}

describe('intermix quota, over Redis', () => {
  let one: Intermix
  let other: Intermix
  beforeAll(async () => {
    const redis = await startRedis()
    ends.push(() => redis.stop())
    ;[one, other] = await Promise.all([start('one', ['--redis', redis.url]), start('two', ['--redis', redis.url])])
  })

  it('any node tells of the counters of all', async () => {
    const codes: (number | undefined)[] = []
    for (let each = 0; each < 4; each++) codes.push(await check(one, 'amy'), await check(other, 'amy'))
    expect(codes.map((code) => code === 0)).toEqual([true, true, true, true, true, false, false, false])
    await check(one, 'bob')
    expect([await hit(one, 'x'), await hit(one, 'x'), await hit(other, 'x')]).toEqual(['OK', 'OK', 'OVER_LIMIT'])
    const top = async (node: Intermix, by: string) => (await asked(node, 'top', '--by', by)).counters
    const ofAmy = async (node: Intermix) => (await top(node, 'used')).find(({ values }) => values['key'] === 'amy')
    // Nodes tell each other every five seconds.
    for (const node of [one, other])
      await expect.poll(async () => (await ofAmy(node))?.asked, { timeout: 15_000 }).toBeGreaterThanOrEqual(6)
    const refused = (await top(one, 'refused')).map(({ values }) => values)
    expect(refused).toEqual(expect.arrayContaining([{ key: 'amy' }, { a: 'x' }]))
    expect((await asked(one, 'top', '--by', 'near', '--limit', '2')).counters.map(({ values }) => values)).toEqual(
      expect.arrayContaining([{ key: 'amy' }, { a: 'x' }]),
    )
  })

  it('a counter is shown as it stands: a row for each of its limits', async () => {
    const { counters } = await asked(other, 'inspect', HANDLER, 'per-key', 'key=bob')
    expect(counters.map(({ limit, amount, used, left }) => [limit, amount, used, left])).toEqual([
      ['per-key-1', 5, 1, 4],
      ['per-key-2', 50, 1, 49],
    ])
    expect((await asked(other, 'inspect', '--domain', 'shop', 'a=x')).counters[0]).toMatchObject({ amount: 2, left: 0 })
  })

  it('what there is not is said, with what there is', async () => {
    expect(await command(one, 'inspect', 'nobody', 'per-key')).toMatchObject({
      code: 1,
      out: expect.stringContaining('limit-1.handler'),
    })
    expect(await command(one, 'inspect', HANDLER, 'per-kay', 'key=bob')).toMatchObject({
      code: 1,
      out: expect.stringContaining('Did you mean "per-key"?'),
    })
    expect(await command(one, 'inspect', HANDLER, 'per-key', 'kay=bob')).toMatchObject({
      code: 2,
      out: expect.stringContaining('has the dimensions key'),
    })
    expect(await command(one, 'inspect', '--domain', 'shop', 'b=x')).toMatchObject({ code: 1 })
    expect(await command(one, 'reset', '--domain', 'none', '--all', '--yes')).toMatchObject({ code: 1 })
  })

  it('a reset counts for every node, of one counter or of all', async () => {
    expect((await asked(one, 'reset', HANDLER, 'per-key', 'key=amy')).reset).toBe(2)
    // What the other one remembers of the refusal is over in a tenth of a second.
    await expect.poll(() => check(other, 'amy')).toBe(0)
    expect((await asked(one, 'reset', '--domain', 'shop', 'a=x')).reset).toBe(1)
    expect(await hit(other, 'x')).toBe('OK')
    expect((await asked(one, 'inspect', HANDLER, 'per-key', 'key=bob')).counters[0]?.used).toBe(1)
    expect((await asked(other, 'reset', HANDLER, 'per-key', '--all', '--yes')).reset).toBe(4)
    expect((await asked(one, 'inspect', HANDLER, 'per-key', 'key=bob')).counters[0]?.used).toBe(0)
    expect((await asked(one, 'reset', '--domain', 'shop', '--all', '--yes')).reset).toBe(1)
    expect((await asked(one, 'reset', HANDLER, '--all', '--yes')).reset).toBeLessThanOrEqual(1)
  })
})

it('without Redis all processes of a node answer, each for itself', async () => {
  const node = await start('alone', ['--redis', 'none', '--processes', '2'])
  for (let each = 0; each < 30; each++) await check(node, 'amy')
  const { counters } = await asked(node, 'inspect', HANDLER, 'per-key', 'key=amy')
  const ofYear = counters.filter(({ limit }) => limit === 'per-key-1')
  expect(ofYear).toHaveLength(2)
  expect(ofYear.some(({ left }) => left === 0)).toBe(true)
  expect((await asked(node, 'reset', HANDLER, 'per-key', '--all', '--yes')).reset).toBeGreaterThan(0)
  expect(await check(node, 'amy')).toBe(0)
})
