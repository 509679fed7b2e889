import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseRedisUrl, redactRedisUrl } from '../../src/kernel/redis-url.ts'

/** All that is said of URLs with a mistake: nothing is quoted. */
const SENTENCES = [
  'is not one',
  'has a host that is no name or address (IPv6 in brackets) with a port from 1 to 65535',
  'names several hosts, which takes +sentinel or +cluster',
  "lacks the master's name",
  'has too long a path',
  'has a database that is not a number',
  'names a database, but a cluster has only database 0',
  'has a user before several hosts, or a , behind an @: write %2C and %40',
  'has a space or a control character in user or password: percent-encode it',
  'has a % in user or password that is not percent-encoding of UTF-8: write %25 for a %',
]

describe('a Redis URL', () => {
  it('names one server, its database, user and TLS', () => {
    expect(parseRedisUrl('rediss://me:s%3Acret@cache.local:6380/3')).toEqual({
      kind: 'single',
      nodes: [{ host: 'cache.local', port: 6380 }],
      tls: true,
      username: 'me',
      password: 's:cret',
      database: 3,
      masterName: '',
    })
  })

  it('has defaults for port and database, and takes IPv6', () => {
    expect(parseRedisUrl('redis://[::1]')).toMatchObject({ nodes: [{ host: '::1', port: 6379 }], database: 0 })
  })

  it('names the sentinels and the master', () => {
    expect(parseRedisUrl('redis+sentinel://:pw@a:1,b/main/2')).toMatchObject({
      kind: 'sentinel',
      nodes: [
        { host: 'a', port: 1 },
        { host: 'b', port: 26379 },
      ],
      masterName: 'main',
      database: 2,
      password: 'pw',
      username: undefined,
    })
  })

  it('names the nodes of a cluster', () => {
    expect(parseRedisUrl('rediss+cluster://a:1,b:2')).toMatchObject({ kind: 'cluster', tls: true })
  })

  it.each([
    ['redis://u:pa/ss@h', 'u', 'pa/ss', 'h'],
    ['redis://u:p@ss@h:1', 'u', 'p@ss', 'h'],
    ['redis://u:p:a#s?s@h/1', 'u', 'p:a#s?s', 'h'],
    ['redis://:p%25%2F@[::1]', undefined, 'p%/', '::1'],
    ['redis+sentinel://u:p,q@a,b/main', 'u', 'p,q', 'a'],
    ['redis://me@h', 'me', undefined, 'h'],
  ])('reads what stands before the last @ as user and password: %s', (url, username, password, host) => {
    expect(parseRedisUrl(url)).toMatchObject({
      username,
      password,
      nodes: [{ host }, ...(url.includes(',b') ? [{}] : [])],
    })
  })

  it.each([
    ['', 'is not one'],
    ['http://a', 'is not one'],
    ['redis://', 'is not one'],
    ['redis://a?b', 'is not one'],
    ['redis://a:99999', 'a port from 1 to 65535'],
    ['redis://u:secret', 'a port from 1 to 65535'],
    ['redis://a,b', 'several hosts'],
    ['redis+cluster://u:p@a:1,u:p@b:2', 'has a user before several hosts'],
    ['redis+sentinel://a', "master's name"],
    ['redis+cluster://a/1', 'only database 0'],
    ['redis://a/x', 'database that is not a number'],
    ['redis://a/1/2', 'too long a path'],
    ['redis://%E0%A4%A@a', 'write %25 for a %'],
    ['redis://u:100%@a', 'write %25 for a %'],
    ['redis://u:p w@a', 'percent-encode it'],
    ['redis://u:p\n@a', 'percent-encode it'],
  ])('is refused with what is allowed: %j', (url, message) => {
    expect(() => parseRedisUrl(url)).toThrow(message)
    expect(() => parseRedisUrl(url)).toThrow('allowed are redis://')
    expect(() => parseRedisUrl(url)).toThrow(expect.objectContaining({ code: 'INVALID_SETTING' }))
  })

  it('never shows its password', () => {
    expect(redactRedisUrl('redis://me:secret@a:1/0')).toBe('redis://me:***@a:1/0')
    expect(redactRedisUrl('redis://secret@a')).toBe('redis://:***@a')
    expect(redactRedisUrl('redis://u:pa/ss@h')).toBe('redis://u:***@h')
    expect(redactRedisUrl('redis://u:p@ss@h')).toBe('redis://u:***@h')
    expect(redactRedisUrl('redis://pa@ss:w@h')).toBe('redis://:***@h')
    expect(redactRedisUrl('redis://h:1')).toBe('redis://h:1')
  })

  const secrets = fc.string({
    unit: fc.constantFrom(...Array.from('Zq@/:#?%,[]\\ \n&=+~é𝒳0')),
    minLength: 3,
    maxLength: 24,
  })
  const schemes = fc.constantFrom('redis', 'rediss', 'redis+sentinel', 'rediss+cluster', 'http', 'redi')
  const places = fc.constantFrom('h', 'h:6379/2', 'a:1,b:2/main', '[::1]:9', '!', '', 'h:x', 'h/1/2/3')

  it('is read as it was written where its password is percent-encoded', () => {
    fc.assert(
      fc.property(secrets, secrets, (user, password) => {
        const url = `redis://${encodeURIComponent(user)}:${encodeURIComponent(password)}@h`
        expect(parseRedisUrl(url)).toMatchObject({ username: user, password, nodes: [{ host: 'h' }] })
      }),
    )
  })

  it('is read in one way or refused, and no message holds any of its password, however that is written', () => {
    fc.assert(
      fc.property(schemes, secrets, places, (scheme, secret, place) => {
        const url = `${scheme}://user:${secret}@${place}`
        expect(redactRedisUrl(url)).toBe(`${scheme}://user:***@${place}`)
        try {
          const { username, password } = parseRedisUrl(url)
          expect([username, password]).toEqual(['user', decodeURIComponent(secret)])
        } catch (error) {
          expect(SENTENCES).toContain(/^the Redis URL (.*); allowed are/.exec((error as Error).message)?.[1])
        }
      }),
    )
  })
})
