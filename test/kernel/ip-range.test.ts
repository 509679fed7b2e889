import { BlockList } from 'node:net'
import { describe, expect, it } from 'vitest'
import { parseIpRange } from '../../src/kernel/ip-range.ts'

describe('ranges of addresses', () => {
  it.each([
    ['10.0.0.0/8', { address: '10.0.0.0', prefixLength: 8, family: 'ipv4' }],
    ['192.0.2.7', { address: '192.0.2.7', prefixLength: 32, family: 'ipv4' }],
    ['fd00::/8', { address: 'fd00::', prefixLength: 8, family: 'ipv6' }],
    ['::1', { address: '::1', prefixLength: 128, family: 'ipv6' }],
    ['0.0.0.0/0', { address: '0.0.0.0', prefixLength: 0, family: 'ipv4' }],
  ] as const)('%s is one that a block list takes', (text, expected) => {
    const range = parseIpRange(text)
    expect(range).toEqual(expected)
    new BlockList().addSubnet(expected.address, expected.prefixLength, expected.family)
  })

  it.each(['', '/8', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/8/8', '10.0.0/8', 'fe80::1%eth0'])(
    '%j is none',
    (text) => {
      expect(parseIpRange(text)).toBeUndefined()
    },
  )
})
