import { describe, expect, it } from 'vitest'
import { readSettings } from '../../src/settings/settings.ts'

function settings(...argv: readonly string[]) {
  const result = readSettings('node', argv, {})
  if ('problems' in result) throw new Error(result.problems.join('\n'))
  return result.settings
}

function problems(...argv: readonly string[]): readonly string[] {
  const result = readSettings('node', argv, {})
  return 'problems' in result ? result.problems : []
}

describe('the place of the config', () => {
  it('is a folder', () => {
    expect(settings('--config=redis', '--redis=none')).toMatchObject({ config: 'redis', configRedis: undefined })
  })

  it('is a Redis, whose password is not shown', () => {
    const { config, configRedis } = settings(
      '--config=rediss://me:s3cret@host:1',
      '--redis=none',
      '--redis-tls-ca=ca.pem',
    )
    expect(config).not.toContain('s3cret')
    expect(configRedis).toMatchObject({ url: 'rediss://me:s3cret@host:1', tls: { ca: 'ca.pem' } })
  })

  it('is signed in to with the password of all', () => {
    const { configRedis } = settings('--config=redis://host', '--redis=none', '--redis-password-file=p')
    expect(configRedis).toEqual({ url: 'redis://host', passwordFile: 'p' })
  })

  it('is signed in to as the queue where it is the queue', () => {
    const { configRedis } = settings(
      '--config=redis://host',
      '--queue-redis=redis://host',
      '--cache-redis=none',
      '--queue-redis-password-file=q',
    )
    expect(configRedis).toEqual({ url: 'redis://host', passwordFile: 'q' })
  })

  it('is one that can be read', () => {
    expect(problems('--config=redis://', '--redis=none').join('\n')).toContain('--config: a folder or a Redis URL')
  })

  it('needs no second copy where it is a folder', () => {
    expect(problems('--config=x', '--redis=none', '--config-cache=y')).toEqual([
      '--config-cache: keeps versions that come from a Redis (--config redis://HOST); a folder is there anyway',
    ])
  })
})
