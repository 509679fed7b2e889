// Who can write to the Redis of the revocations forges, removes, moves and withholds them: nodes with the key of their mesh apply none
// that is forged, and void everything where one was taken away.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SignedRevocations } from '../../src/cache/signed-revocations.ts'
import type { RedisClient } from '../../src/redis/create-client.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { meshKeys } from './mesh-key-support.ts'
import { BY_HANDLER, BY_OTHER, KEYS, LOOK_MS, OTHER, RevocationMesh, serves } from './revocation-mesh.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000, emptied: true })

const redis = <T>(run: (client: RedisClient) => Promise<T>) => link.run(run)
/** Why it is refused, what is wrong, and how it comes about. */
type Tampering = [reason: string, what: string, tamper: (one: string, two: string, generation: string) => string[]]

const head = async () => (await redis((client) => client.get(KEYS.head))) ?? ''
const records = () => redis((client) => client.zrange(KEYS.log, '0', '-1'))
const token = (n: number) => `00000000-0000-4000-8000-000000000000-${n}`

describe('revocations of a mesh that has a key', () => {
  let mesh: RevocationMesh
  beforeEach(() => {
    mesh = new RevocationMesh(link)
  })
  afterEach(() => mesh.stop())

  /** Two nodes; the second signs by another key, which both have. */
  async function pair(mode: 'require' | 'accept' = 'require') {
    const own = meshKeys(['a', 'b'], { mode })
    const first = await mesh.join('n1', own.keys)
    const second = await mesh.join('n2', meshKeys(['b', 'a'], { mode }).keys)
    await mesh.pass(LOOK_MS)
    return { first, second, refused: (reason: string) => own.refused('revocation', reason) }
  }

  it('hold on all nodes, in their order, whoever revokes', async () => {
    const { first, second } = await pair()
    const before = first.revocations.epoch
    expect(second.revocations.epoch).toEqual(before)
    const receipt = await mesh.drive(first.service.revoke(BY_HANDLER))
    expect(receipt).toMatchObject({ sequence: 1, confirmed: ['n1', 'n2'], unconfirmed: [] })
    for (const node of [first, second]) {
      expect(serves(node, before)).toBe(false)
      expect(serves(node, before, OTHER)).toBe(true)
    }
    const all = [first, second, first].map((node) => node.service.revoke(BY_OTHER))
    const numbers = (await mesh.drive(Promise.all(all))).map(({ sequence }) => sequence)
    expect(numbers.toSorted((a, b) => a - b)).toEqual([2, 3, 4])
    expect(first.revocations.epoch).toEqual({ ...before, sequence: 4 })
    const late = await mesh.join('n3', meshKeys(['a', 'b']).keys)
    expect(late.revocations.epoch).toEqual({ ...before, sequence: 4 })
    expect(serves(late, before)).toBe(false)
    expect(serves(late, { ...before, sequence: 1 })).toBe(true)
  })

  it('are not forged: a record without the signature revokes nothing by itself, and the log begins anew', async () => {
    const { first, second, refused } = await pair()
    const { epoch } = first.revocations
    const record = `1 ${token(1)} ${JSON.stringify(BY_HANDLER)}`
    await forge((text) => text.replace(/ 0 - /, ` 1 ${token(1)} `), record)
    await mesh.pass(LOOK_MS)
    expect(refused('unsigned')).toBe(1)
    for (const node of [first, second]) {
      expect(node.revocations.epoch.generation).not.toBe(epoch.generation)
      expect(node.revocations.epoch.sequence).toBe(0)
      expect(node.service.inTouch()).toBe(true)
    }
    expect(first.revocations.epoch).toEqual(second.revocations.epoch)
  })

  it.each([
    ['forged', 'with another target', (one, two) => [one, two.replace(OTHER, 'third.handler.test')]],
    ['forged', 'that have changed places', (one, two) => [two.replace(/^2/, '1'), one.replace(/^1/, '2')]],
    // Who was not quick enough has signed for the place, too, and somebody has seen it.
    [
      'broken_chain',
      'with one that another node has signed for the place',
      (_, two, generation) => [recordOne(generation), two],
    ],
    ['forged', 'with one of another log', (_, two) => [recordOne('other'), two]],
    ['broken_chain', 'without the last', (one) => [one]],
    ['broken_chain', 'of which none is left', () => []],
    ['unsigned', 'with something else between', (one, two) => [one, `2 ${token(2)} {}`, two]],
    // As with those that are not kept any more: all that was before is void.
    ['none', 'without the first', (_, two) => [two]],
  ] satisfies Tampering[] as Tampering[])(
    '(%s) are not believed %s, by a node that has none yet',
    async (reason, _, tamper) => {
      const { first, second } = await pair()
      const { epoch } = first.revocations
      await mesh.drive(first.service.revoke(BY_HANDLER))
      await mesh.drive(first.service.revoke(BY_OTHER))
      const [one = '', two = ''] = await records()
      await replaceLog(tamper(one, two, epoch.generation))
      first.stuck = true
      second.stuck = true
      const own = meshKeys(['a', 'b'])
      const node = await mesh.join('n3', own.keys)
      expect(own.meter.values.get(`mesh_refused_total revocation ${reason}`)).toBe(reason === 'none' ? undefined : 1)
      expect(serves(node, epoch)).toBe(false)
      expect(serves(node, { ...epoch, sequence: 1 }, OTHER)).toBe(false)
      first.stuck = false
      second.stuck = false
      await mesh.pass(2 * LOOK_MS)
      for (const each of [first, second]) expect(each.revocations.epoch).toEqual(node.revocations.epoch)
    },
  )

  it('are read to the end, page by page, and from where they are still kept', async () => {
    const { first } = await pair()
    const { generation } = first.revocations.epoch
    const signed = new SignedRevocations(meshKeys(['a', 'b']).keys)
    const lines: string[] = []
    let mark = ''
    for (let sequence = 0; sequence < 1_500; sequence++) {
      mark = signed.mark({ generation, sequence, mark }, token(sequence), JSON.stringify(BY_OTHER))
      lines.push(`${sequence + 1} ${mark} ${JSON.stringify(BY_OTHER)}`)
    }
    await redis((client) => client.zadd(KEYS.log, ...lines.flatMap((line, at) => [at + 1, line])))
    await redis(async (client) => client.set(KEYS.head, (await head()).replace(' 0 - ', ` 1500 ${mark} `)))
    await mesh.pass(LOOK_MS)
    const epoch = { generation, sequence: 1_500 }
    expect(first.revocations.epoch).toEqual(epoch)
    await redis((client) => client.zremrangebyscore(KEYS.log, 1, 700))
    const own = meshKeys(['a', 'b'])
    expect((await mesh.join('n3', own.keys)).revocations.epoch).toEqual(epoch)
    expect(own.meter.values.size).toBe(1)
  })

  it('are recorded each, although many come at once at several nodes', async () => {
    const { first, second } = await pair()
    const nodes = Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? first : second))
    const receipts = await mesh.drive(Promise.all(nodes.map((node) => node.service.revoke(BY_HANDLER))))
    const numbers = new Set(receipts.map(({ sequence }) => sequence))
    expect(numbers.size).toBe(20)
    expect(first.revocations.epoch.sequence).toBe(20)
  })

  it.each(['before others have read it', 'after all have'])('are not undone by taking one back %s', async (when) => {
    const { first, second } = await pair()
    const before = first.revocations.epoch
    const old = await head()
    const taken = async () => {
      await redis((client) => client.set(KEYS.head, old))
      await replaceLog([])
    }
    if (when === 'after all have') {
      await mesh.drive(first.service.revoke(BY_HANDLER))
      await taken()
    } else {
      second.stuck = true
      const revoking = first.service.revoke(BY_HANDLER)
      await expect.poll(async () => (await records()).length).toBe(1)
      await taken()
      second.stuck = false
      await mesh.drive(revoking)
    }
    await mesh.pass(LOOK_MS)
    for (const node of [first, second]) expect(serves(node, before)).toBe(false)
    expect(first.revocations.epoch).toEqual(second.revocations.epoch)
  })

  it('are not those of an older log of the same mesh', async () => {
    const { first, second } = await pair()
    const old = { head: await head(), epoch: first.revocations.epoch }
    await redis((client) => client.flushdb())
    await mesh.pass(LOOK_MS)
    await mesh.drive(first.service.revoke(BY_HANDLER))
    await redis((client) => client.set(KEYS.head, old.head))
    await replaceLog([])
    await mesh.pass(2 * LOOK_MS)
    for (const node of [first, second]) {
      expect(serves(node, old.epoch)).toBe(false)
      expect(node.service.inTouch()).toBe(true)
    }
  })

  it.each([
    ['of a forger', `${token(9)}/99@1 0 - `],
    ['with a number beyond all others', `${token(9)}.key.code/99999999999999@1 0 - `],
    ['that is none', 'garbage '],
  ])('follow no generation %s', async (_, words) => {
    const { first, second } = await pair()
    const run = (await head()).split(' ')[3] ?? ''
    await redis((client) => client.set(KEYS.head, words + run))
    await mesh.pass(2 * LOOK_MS)
    expect(first.revocations.epoch.generation).toMatch(/^[^.]+\.[^.]+\.[^.]+\/2@\d+$/)
    expect(second.revocations.epoch).toEqual(first.revocations.epoch)
    expect((await mesh.drive(second.service.revoke(BY_HANDLER))).unconfirmed).toEqual([])
  })

  it('bound the age of what is served where a forger is quicker than nodes', async () => {
    const { first } = await pair()
    for (let i = 0; i < 4; i++) {
      await redis((client) => client.set(KEYS.head, `${token(i)}/9${i}@1 0 - -`))
      await mesh.pass(1_000)
    }
    expect(first.service.inTouch()).toBe(false)
    expect(first.service.maxAgeMs()).toBe(30_000)
  })

  it('go through nodes without the key, too, while those that have it accept what is unsigned', async () => {
    const { first } = await pair('accept')
    const plain = await mesh.join('plain')
    const epoch = () => first.revocations.epoch
    const before = epoch()
    expect(plain.revocations.epoch).toEqual(before)
    await mesh.drive(plain.service.revoke(BY_HANDLER))
    await mesh.drive(first.service.revoke(BY_OTHER))
    await mesh.drive(plain.service.revoke(BY_OTHER))
    expect(epoch()).toEqual({ ...before, sequence: 3 })
    expect(plain.revocations.epoch).toEqual(epoch())
    for (const node of [first, plain]) expect(serves(node, before)).toBe(false)
  })

  it('of a node without the key void everything on those that require it', async () => {
    const { first, second } = await pair()
    const plain = await mesh.join('plain')
    const before = first.revocations.epoch
    const receipt = await mesh.drive(plain.service.revoke(BY_HANDLER))
    await mesh.pass(LOOK_MS)
    expect(receipt.unconfirmed).toEqual([])
    for (const node of [first, second, plain]) {
      expect(serves(node, before)).toBe(false)
      expect(serves(node, before, OTHER)).toBe(false)
      expect(node.revocations.epoch).toEqual(first.revocations.epoch)
    }
  })
})

/** A record for the first place of a log, by the key of the mesh. */
function recordOne(generation: string): string {
  const place = { generation, sequence: 0, mark: '' }
  const target = JSON.stringify(BY_OTHER)
  return `1 ${new SignedRevocations(meshKeys(['a', 'b']).keys).mark(place, token(1), target)} ${target}`
}

/** Changes the head, and adds a record. */
async function forge(change: (head: string) => string, record: string): Promise<void> {
  const text = change(await head())
  await redis((client) => client.zadd(KEYS.log, 1, record))
  await redis((client) => client.set(KEYS.head, text))
}

async function replaceLog(lines: readonly string[]): Promise<void> {
  await redis((client) => client.del(KEYS.log))
  for (const line of lines) await redis((client) => client.zadd(KEYS.log, line.split(' ', 1)[0] ?? '', line))
}
