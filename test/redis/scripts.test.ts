import { describe, expect, it } from 'vitest'
import { defineScript } from '../../src/redis/scripts.ts'
import { sharedRedis } from './shared-redis.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 1_000 })

describe('a Lua script', () => {
  const script = defineScript({ name: 'apply-once', keys: 2, reply: Number })
  const keys = ['{t}seen', '{t}hash']

  it('is loaded where the server does not know it, and again after the server forgot it', async () => {
    expect(await link.run((client) => script.run(client, keys, ['60000', 'add', 'f', '1']))).toBe(1)
    await link.run((client) => client.script('FLUSH'))
    await link.run((client) => client.del('{t}seen'))
    expect(await link.run((client) => script.run(client, keys, ['60000', 'add', 'f', '1']))).toBe(1)
    expect(await link.run((client) => client.hget('{t}hash', 'f'))).toBe('2')
  })

  it('takes exactly its keys', async () => {
    await expect(link.run((client) => script.run(client, ['a'], []))).rejects.toThrow('takes 2 keys, not 1')
  })

  it('that does not exist is an error when defined', () => {
    expect(() => defineScript({ name: 'nothing', keys: 9, reply: Number })).toThrow('scripts/nothing-9.lua')
  })
})
