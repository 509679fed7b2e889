import { beforeEach, describe, expect, it } from 'vitest'
import type { PoolMember } from '../../../src/client/nodes/node-pool.ts'
import { readNodeSource } from '../../../src/client/nodes/node-sources.ts'
import { type Resolver, WatchedMembers } from '../../../src/client/nodes/watched-members.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { KeptLog } from '../../redis/support.ts'

describe('the list of nodes', () => {
  it.each([
    ['10.0.0.1:9091', { kind: 'address', host: '10.0.0.1', port: 9091 }],
    ['[::1]:9091', { kind: 'address', host: '::1', port: 9091 }],
    ['dns:nodes.mesh:9091', { kind: 'dns', name: 'nodes.mesh', port: 9091 }],
    ['srv:_grpc._tcp.nodes.mesh', { kind: 'srv', name: '_grpc._tcp.nodes.mesh' }],
    ['unix:/run/node.sock', { kind: 'socket', path: '/run/node.sock' }],
  ])('takes %s', (text, source) => {
    expect(readNodeSource(text)).toEqual(source)
  })

  it.each([
    '',
    'node',
    'node:',
    'node:0',
    'node:70000',
    '[x]:1',
    '::1:9091',
    'dns:nodes',
    'dns:',
    'srv:',
    'unix:',
    'http://n:1',
    'größe.mesh:1',
    'a\u0001b:1',
    'dns:名.mesh:1',
    `${'a'.repeat(254)}:1`,
  ])('refuses "%s" and says what it takes', (text) => {
    expect(() => readNodeSource(text)).toThrow(/no node; give HOST:PORT/)
  })
})

describe('which nodes there are', () => {
  let clock: FakeClock
  let log: KeptLog
  let seen: (readonly PoolMember[])[]
  let addresses: Map<string, readonly string[]>
  let services: Map<string, readonly { name: string; port: number; priority: number }[]>
  let isHeard: boolean

  const resolver: Resolver = {
    addresses: async (name) => found(addresses, name),
    services: async (name) => found(services, name),
  }

  function found<T>(map: ReadonlyMap<string, T>, name: string): T {
    const value = map.get(name)
    if (value === undefined) throw new Error(`ENOTFOUND ${name}`)
    return value
  }

  function watched(list: readonly string[], more: { discover?: boolean; tls?: object } = {}) {
    const options = { clock, log, random: () => 0.5, resolver, isHeard: () => isHeard, discover: false, ...more }
    const onMembers = (members: readonly PoolMember[]) => seen.push(members)
    return new WatchedMembers({ ...options, sources: list.map(readNodeSource), onMembers })
  }

  const ids = () => seen.at(-1)?.map(({ id }) => id)

  beforeEach(() => {
    clock = new FakeClock()
    log = new KeptLog()
    seen = []
    isHeard = true
    addresses = new Map([['nodes.mesh', ['10.0.0.1', '10.0.0.2', 'fd00::3']]])
    services = new Map()
  })

  it('is all at once what is listed and what names lead to', async () => {
    const members = watched(['n1:1', 'unix:/run/n.sock', 'dns:nodes.mesh:9091'])
    await members.start()
    expect(seen).toHaveLength(1)
    expect(ids()).toEqual(['n1:1', 'unix:/run/n.sock', '10.0.0.1:9091', '10.0.0.2:9091', '[fd00::3]:9091'])
    expect(seen[0]?.[1]?.address).toEqual({ path: '/run/n.sock' })
    members.stop()
    expect(clock.pending).toBe(0)
  })

  it('follows DNS, and keeps the last list where there is none', async () => {
    const members = watched(['dns:nodes.mesh:9091'])
    await members.start()
    addresses.set('nodes.mesh', ['10.0.0.4'])
    await clock.advance(10_000)
    expect(ids()).toEqual(['10.0.0.4:9091'])
    addresses.clear()
    await clock.advance(60_000)
    addresses.set('nodes.mesh', [])
    await clock.advance(60_000)
    expect(seen).toHaveLength(2)
    expect(log.lines).toHaveLength(1)
    addresses.set('nodes.mesh', ['10.0.0.5'])
    await clock.advance(10_000)
    expect(ids()).toEqual(['10.0.0.5:9091'])
    members.stop()
  })

  it('is looked up soon again where a name leads nowhere at first, and others are asked meanwhile', async () => {
    const members = watched(['n1:1', 'dns:late.mesh:9091'])
    await members.start()
    expect(ids()).toEqual(['n1:1'])
    addresses.set('late.mesh', ['10.0.0.9'])
    await clock.advance(1_000)
    expect(ids()).toEqual(['n1:1', '10.0.0.9:9091'])
    members.stop()
  })

  it('is what the first services of a record lead to', async () => {
    services.set('_grpc', [
      { name: 'nodes.mesh', port: 7, priority: 1 },
      { name: 'spare.mesh', port: 8, priority: 2 },
    ])
    const members = watched(['srv:_grpc'])
    await members.start()
    expect(ids()).toEqual(['10.0.0.1:7', '10.0.0.2:7', '[fd00::3]:7'])
    members.stop()
  })

  it('takes what can be looked up of a record, and the rest as it was last', async () => {
    const target = (name: string) => ({ name, port: 1, priority: 1 })
    services.set('_grpc', [target('one'), target('two'), target('three')])
    addresses.set('one', ['10.0.0.1']).set('two', ['10.0.0.2'])
    const members = watched(['srv:_grpc'])
    await members.start()
    expect(ids()).toEqual(['10.0.0.1:1', '10.0.0.2:1'])
    addresses.delete('two')
    addresses.set('three', ['10.0.0.3'])
    await clock.advance(11_000)
    expect(ids()?.toSorted()).toEqual(['10.0.0.1:1', '10.0.0.2:1', '10.0.0.3:1'])
    await clock.advance(11_000)
    expect(log.lines).toHaveLength(2)
    services.set('_grpc', [target('one'), target('three')])
    await clock.advance(11_000)
    expect(ids()?.toSorted()).toEqual(['10.0.0.1:1', '10.0.0.3:1'])
    members.stop()
  })

  it('is what nodes tell, as long as any can be heard, and the list as a last resort', async () => {
    const members = watched(['seed:1'], { discover: true })
    await members.start()
    members.told({
      nodes: ['10.0.0.1:9091', 'no address', '名.mesh:1', 'a\u0000b:1', '10.0.0.2:9091'],
      leaving: ['10.0.0.2:9091'],
    })
    expect(seen.at(-1)?.map(({ id, isLeaving }) => [id, isLeaving])).toEqual([
      ['seed:1', true],
      ['10.0.0.1:9091', false],
      ['10.0.0.2:9091', true],
    ])
    members.told({ nodes: [], leaving: [] })
    await clock.advance(20_000)
    expect(seen).toHaveLength(2)
    isHeard = false
    await clock.advance(10_000)
    expect(ids()).toEqual(['seed:1'])
    members.stop()
  })

  it('is not what nodes tell unless that is wanted', async () => {
    const members = watched(['n1:1'])
    await members.start()
    members.told({ nodes: ['10.0.0.1:9091'], leaving: [] })
    expect(ids()).toEqual(['n1:1'])
    members.stop()
  })

  it('holds each to its name over TLS, and reads what it is given anew each time', async () => {
    let reads = 0
    const tls = {
      get ca() {
        return `ca ${++reads}`
      },
    }
    const members = watched(['n1.mesh:1', '10.9.9.9:2', 'dns:nodes.mesh:3'], { tls })
    await members.start()
    const given = seen[0]?.map(({ address }) => ('tls' in address ? address.tls : undefined))
    expect(given?.map((one) => one?.servername)).toEqual([
      'n1.mesh',
      undefined,
      'nodes.mesh',
      'nodes.mesh',
      'nodes.mesh',
    ])
    expect([given?.[0]?.ca, given?.[0]?.ca]).toEqual(['ca 1', 'ca 2'])
    members.stop()
    const fixed = watched(['n1.mesh:1'], { tls: { servername: 'mesh' } })
    await fixed.start()
    expect(seen.at(-1)?.[0]?.address).toMatchObject({ tls: { servername: 'mesh' } })
    fixed.stop()
  })
})
