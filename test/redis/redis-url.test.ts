import { describe, expect, it } from 'vitest'
import { parseRedisUrl, redactRedisUrl } from '../../src/redis/redis-url.ts'

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
    ['', 'is not a Redis URL'],
    ['http://a', 'is not a Redis URL'],
    ['redis://', 'is not a Redis URL'],
    ['redis://a:99999', "no valid host:port in 'a:99999'"],
    ['redis://a,b', 'several hosts'],
    ['redis+sentinel://a', "master's name"],
    ['redis+cluster://a/1', 'only database 0'],
    ['redis://a/x', "database 'x'"],
    ['redis://a/1/2', 'too long a path'],
    ['redis://%E0%A4%A@a', 'percent-encoded'],
  ])('is refused with what is allowed: %s', (url, message) => {
    expect(() => parseRedisUrl(url)).toThrow(message)
    expect(() => parseRedisUrl(url)).toThrow('allowed are redis://')
    expect(() => parseRedisUrl(url)).toThrow(expect.objectContaining({ code: 'INVALID_SETTING' }))
  })

  it('never shows its password', () => {
    expect(redactRedisUrl('redis://me:secret@a:1/0')).toBe('redis://me:***@a:1/0')
    expect(redactRedisUrl('redis://secret@a')).toBe('redis://:***@a')
    expect(() => parseRedisUrl('redis://me:secret@a:x')).toThrow(/^(?!.*secret)/)
  })
})
