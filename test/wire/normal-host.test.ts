import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AmbiguousRequest } from '../../src/wire/ambiguity.ts'
import { normalHost } from '../../src/wire/normal-host.ts'

describe('normalHost', () => {
  it.each([
    ['private.example', 'private.example'],
    ['PRIVATE.Example', 'private.example'],
    ['private.example.', 'private.example'],
    ['private.example:80', 'private.example'],
    ['private.example:443', 'private.example'],
    ['Private.example.:0080', 'private.example'],
    ['private.example:', 'private.example'],
    ['private.example:8080', 'private.example:8080'],
    ['private.example:08080', 'private.example:8080'],
    ['xn--BCHER-kva.example', 'xn--bcher-kva.example'],
    ['intermix_nodes', 'intermix_nodes'],
    ['192.0.2.7:80', '192.0.2.7'],
    ['[2001:DB8:0:0::1]:443', '[2001:db8::1]'],
    ['[::1]:8080', '[::1]:8080'],
    ['[::ffff:192.0.2.7]', '192.0.2.7'],
    ['', ''],
  ])('takes %j as %j', (host, normal) => {
    expect(normalHost(host)).toBe(normal)
    expect(normalHost(normal)).toBe(normal)
  })

  it.each([
    'user@private.example',
    'other.example,private.example',
    'private.example private.example',
    ' private.example',
    'private.example\t',
    'private%2eexample',
    'private..example',
    '.private.example',
    'private.example..',
    '.',
    ':80',
    'private.example:65536',
    'private.example:8o',
    'private.example:80:80',
    'private.example/',
    'private.example#',
    'private\u3002example',
    'privat\u212a.example',
    '[::1',
    '[::1%25eth0]',
    '[192.0.2.7]',
    '::1',
    '*',
  ])('refuses %j', (host) => {
    expect(() => normalHost(host)).toThrow(AmbiguousRequest)
  })

  it('takes every spelling of a host as one, for any host', () => {
    const label = fc.stringMatching(/^[a-z0-9]{1,8}$/)
    const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))
    const port = fc.constantFrom('', ':', ':80', ':443', ':0080')
    fc.assert(
      fc.property(host, port, fc.boolean(), fc.infiniteStream(fc.boolean()), (plain, suffix, full, capitals) => {
        const letters = Array.from(plain, (letter) => (capitals.next().value === true ? letter.toUpperCase() : letter))
        expect(normalHost(`${letters.join('')}${full ? '.' : ''}${suffix}`)).toBe(plain)
      }),
    )
  })
})
