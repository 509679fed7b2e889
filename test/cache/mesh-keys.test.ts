// The file with the keys of a mesh: what it may hold, what is said of one that cannot be used, and how it changes.

import { chmodSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { describe, expect, it } from 'vitest'
import { readMeshKeyFile } from '../../src/cache/mesh-key-file.ts'
import { keyFile, meshKey, meshKeys } from './mesh-key-support.ts'

const LOOK_MS = 5_000
const hexOf = (name: string) => Buffer.from(meshKey(name), 'base64').toString('hex')

describe('a file of keys', () => {
  it('holds them in base64 or hexadecimal, with remarks and empty lines', () => {
    const url = Buffer.from(meshKey('c'), 'base64').toString('base64url')
    const { keys } = readMeshKeyFile(keyFile(`# new\n${meshKey('a')}\r\n\n${hexOf('b').toUpperCase()}\n  ${url}\n`))
    expect(keys.map((key) => key.toString('base64'))).toEqual([meshKey('a'), meshKey('b'), meshKey('c')])
  })

  it('is refused with all that is wrong, by line, and nothing of what it holds', () => {
    const short = Buffer.from('secret-of-20-bytes!!').toString('base64')
    const lines = [meshKey('a'), 'not a key!', short, 'A'.repeat(43), hexOf('a')]
    const path = keyFile(lines.join('\n'))
    const message = messageOf(() => readMeshKeyFile(path))
    expect(message).toBe(
      `--mesh-key: the file ${path} cannot be used: line 2: neither base64 nor hexadecimal; ` +
        'line 3: a key of 20 bytes; 32 or more are needed (openssl rand -base64 32); ' +
        'line 4: not random: most of its bytes are the same; line 5: the same key again',
    )
    for (const line of lines) expect(message).not.toContain(line)
  })

  it.each([
    ['it holds no key', keyFile('# none\n')],
    ['there is no such file', '/nowhere/mesh.key'],
    ['it is a folder', tmpdir()],
    ['it holds 9 keys; 8 are the most', keyFile(Array.from('abcdefghi', meshKey).join('\n'))],
    ['a key of 2000 bytes', keyFile('ab'.repeat(2_000))],
  ])('is refused where %s', (why, path) => {
    expect(messageOf(() => readMeshKeyFile(path))).toMatch(/^--mesh-key: /)
    expect(messageOf(() => readMeshKeyFile(path))).toContain(why)
  })
})

describe('the keys of a mesh', () => {
  it('follow the file, and stay as they were where it goes bad', async () => {
    const { keys, clock, log, meter, file } = meshKeys(['a'])
    keys.start()
    const old = keys.sign('entry', 'text')
    const others = meshKeys(['b']).keys
    const signed = others.sign('entry', 'text')
    expect(keys.fault('entry', 'text', signed)).toBe('unknown_key')
    writeFileSync(file, `${meshKey('b')}\n${meshKey('a')}\n`)
    await clock.advance(LOOK_MS)
    expect(keys.fault('entry', 'text', old)).toBeUndefined()
    expect(keys.fault('entry', 'text', signed)).toBeUndefined()
    expect(others.fault('entry', 'text', keys.sign('entry', 'text'))).toBeUndefined()
    expect(meter.value('mesh_keys')).toBe(2)
    writeFileSync(file, 'half a k')
    await clock.advance(3 * LOOK_MS)
    expect(keys.sign('entry', 'text')).toBe(signed)
    expect(log.lines.filter((line) => line.includes('are used on'))).toHaveLength(1)
    writeFileSync(file, meshKey('b'))
    await clock.advance(LOOK_MS)
    expect(keys.fault('entry', 'text', old)).toBe('unknown_key')
    keys.stop()
    expect(log.lines.join()).not.toContain(meshKey('b'))
  })

  it('warn of a file that others may read', async () => {
    const { keys, clock, log, file } = meshKeys(['a'])
    keys.start()
    expect(log.lines).toEqual([])
    chmodSync(file, 0o644)
    await clock.advance(2 * LOOK_MS)
    keys.stop()
    expect(log.lines).toEqual([expect.stringContaining('others may read or change the file')])
  })

  it('sign for one kind, one prefix and one text', () => {
    const { keys } = meshKeys(['a'])
    const signature = keys.sign('entry', 'text')
    expect(keys.fault('entry', 'text', signature)).toBeUndefined()
    expect(keys.fault('revocation', 'text', signature)).toBe('forged')
    expect(keys.fault('entry', 'other', signature)).toBe('forged')
    expect(keys.fault('entry', 'text', '')).toBe('unsigned')
    expect(meshKeys(['a'], { prefix: 'other' }).keys.fault('entry', 'text', signature)).toBe('unknown_key')
    expect(meshKeys(['a'], { mode: 'accept' }).keys.fault('entry', 'text', '')).toBeUndefined()
    expect(meshKeys(['a'], { mode: 'accept' }).keys.fault('entry', 'other', signature)).toBe('forged')
  })

  it('conceal a text, with a nonce of its own each time, and reveal it in its place alone', () => {
    const { keys } = meshKeys(['a'], { encrypts: true })
    const [one, two] = [keys.conceal('{"kind":"allow"}', 'here'), keys.conceal('{"kind":"allow"}', 'here')]
    expect(one).not.toBe(two)
    expect(one).not.toContain('allow')
    for (const reader of [keys, meshKeys(['b', 'a']).keys]) {
      expect(reader.reveal(one, 'here')).toBe('{"kind":"allow"}')
      expect(reader.reveal(one, 'there')).toBeUndefined()
      expect(reader.reveal(`${one.slice(0, -8)}AAAAAAAA`, 'here')).toBeUndefined()
    }
    expect(meshKeys(['b']).keys.reveal(one, 'here')).toBeUndefined()
    expect(keys.reveal('e1.short', 'here')).toBeUndefined()
  })

  it('tell of the same kind of forgery once a minute', async () => {
    const { keys, clock, log, refused } = meshKeys(['a'])
    for (let i = 0; i < 100; i++) keys.refused('entry', 'forged')
    expect(refused('entry', 'forged')).toBe(100)
    expect(log.lines).toHaveLength(1)
    await clock.advance(60_000)
    keys.refused('entry', 'forged')
    expect(log.lines).toHaveLength(2)
  })
})

function messageOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return (error as Error).message
  }
  return ''
}
