import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { AnyAdapter } from '../../src/adapter-kit/define-adapter.ts'
import { folderSource } from '../../src/config/folder-source.ts'
import { loadConfigFolder } from '../../src/config/load.ts'
import { WatchedConfig } from '../../src/config/watch.ts'
import type { Logger } from '../../src/kernel/ports.ts'
import { FakeClock } from '../helpers/clock.ts'
import { ReadableMeter } from '../redis/support.ts'
import { TEST_ADAPTERS } from './adapters.ts'
import { DENY, MANIFEST } from './compile.ts'

const RULE = `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: admin}
spec:
  match: request.path == "/admin"
  actions: [{handler: deny, instances: [nothing]}]
`
const BROKEN = RULE.replace('handler: deny', 'handler: denny')

class Recorder {
  readonly lines: string[] = []
  readonly log: Logger = {
    debug: () => undefined,
    info: (_, message) => this.lines.push(`info ${message}`),
    warn: (_, message) => this.lines.push(`warn ${message}`),
    error: (_, message) => this.lines.push(`error ${message}`),
    child: () => this.log,
  }
  readonly meter = new ReadableMeter()
}

let folder: string
let clock: FakeClock
let recorder: Recorder
let sources: WatchedConfig[]

async function open(path = folder): Promise<WatchedConfig> {
  const { log, meter } = recorder
  const source = await WatchedConfig.open({
    source: folderSource(path, { clock, log }),
    compile: { adapters: TEST_ADAPTERS },
    clock,
    log,
    meter,
  })
  sources.push(source)
  return source
}
const write = (name: string, text: string) => writeFile(join(folder, name), text)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'intermix-config-'))
  clock = new FakeClock()
  recorder = new Recorder()
  sources = []
  await write('base.yaml', [MANIFEST, DENY].join('\n---\n'))
  await write('rule.yml', RULE)
})

afterEach(async () => {
  for (const source of sources) source.close()
  await rm(folder, { recursive: true })
})

describe('a config source', () => {
  it('refuses to start with a bad config and lists everything', async () => {
    await write('rule.yml', `${BROKEN}\n---\n${BROKEN.replace('{name: admin}', '{name: other}')}`)
    await expect(open()).rejects.toThrow(/rule\.yml:7:23: error[^]*rule\.yml:16:23: error/)
    await expect(open(join(folder, 'none'))).rejects.toThrow(/cannot be read/)
    const empty = join(folder, 'empty')
    await mkdir(empty)
    await expect(open(empty)).rejects.toThrow(/holds no config/)
  })

  it('applies a change, tells listeners, and counts', async () => {
    const source = await open()
    const [first, seen] = [source.current(), [] as string[]]
    source.onChange((snapshot) => seen.push(snapshot.id))
    source.onChange(() => {
      throw new Error('a listener of somebody else')
    })
    await write('rule.yml', RULE.replace('/admin', '/other'))
    await source.reload()
    expect(source.current().id).not.toBe(first.id)
    expect(seen).toEqual([source.current().id])
    expect(source.status()).toMatchObject({ state: 'ok', snapshotId: source.current().id })
    expect(recorder.meter.values.get('config_loads_total applied')).toBe(1)
  })

  it('keeps what it has while a file is empty, as those are for a moment that are written in place', async () => {
    const source = await open()
    const good = source.current()
    await write('rule.yml', '')
    await source.reload()
    expect(source.current()).toBe(good)
    expect(source.status()).toMatchObject({
      state: 'unreadable',
      problems: [{ message: expect.stringContaining('the file is empty') }],
    })
    await write('rule.yml', RULE.replace('/admin', '/other'))
    await source.reload()
    expect(source.current().id).not.toBe(good.id)
    expect(source.status().state).toBe('ok')
  })

  it('keeps the last good config when the next one is bad, and recovers', async () => {
    const source = await open()
    const good = source.current()
    await write('rule.yml', BROKEN)
    await source.reload()
    expect(source.current()).toBe(good)
    expect(source.status()).toMatchObject({ state: 'rejected', snapshotId: good.id })
    expect(source.status().problems.filter(({ severity }) => severity === 'error')).toHaveLength(1)
    expect(recorder.lines.filter((line) => line.includes('unknown handler "denny"'))).toHaveLength(1)
    expect(recorder.meter.values.get('config_last_reload_ok')).toBe(0)
    await write('rule.yml', RULE)
    await source.reload()
    expect(source.current()).toBe(good)
    expect(source.status().state).toBe('ok')
    expect(recorder.meter.values.get('config_last_reload_ok')).toBe(1)
  })

  it('keeps it when the folder disappears', async () => {
    const source = await open()
    const good = source.current()
    await rename(folder, `${folder}-away`)
    for (let i = 0; i < 3; i++) await source.reload()
    await rename(`${folder}-away`, folder)
    expect(source.status()).toMatchObject({ state: 'unreadable', snapshotId: good.id })
    expect(recorder.meter.values.get('config_loads_total unreadable')).toBe(3)
    expect(recorder.meter.values.get('config_loads_total rejected')).toBeUndefined()
    expect(recorder.meter.values.get('config_last_reload_ok')).toBe(0)
    // One line for the whole time, and none that says that the config was wrong.
    expect(recorder.lines.filter((line) => line.includes('could not be read'))).toHaveLength(1)
    expect(recorder.lines.filter((line) => line.includes('rejected'))).toEqual([])
    await source.reload()
    expect(source.status().state).toBe('ok')
    expect(recorder.meter.values.get('config_last_reload_ok')).toBe(1)
    expect(source.current()).toBe(good)
  })

  it('reads again what could not be read, without being told', async () => {
    const source = await open()
    const path = join(folder, 'more.yaml')
    await symlink('nowhere.txt', path)
    await source.reload()
    expect(source.status().state).toBe('unreadable')
    await write('nowhere.txt', RULE.replace('{name: admin}', '{name: more}'))
    const changed = new Promise<void>((resolve) => source.onChange(() => resolve()))
    await clock.advance(1000)
    await changed
    expect(source.status().state).toBe('ok')
    expect(source.current().rules).toHaveLength(2)
  })

  it('does not take what cannot be read for what was rejected before', async () => {
    const source = await open()
    await write('rule.yml', BROKEN)
    await source.reload()
    await symlink('nowhere.txt', join(folder, 'more.yaml'))
    await source.reload()
    expect(source.status().state).toBe('unreadable')
    await rm(join(folder, 'more.yaml'))
    await source.reload()
    expect(source.status()).toMatchObject({ state: 'rejected' })
    expect(recorder.meter.values.get('config_last_reload_ok')).toBe(0)
  })

  it('says so when the compiler itself fails, and goes on with the next config', async () => {
    // An adapter of somebody's own, with a mistake that only shows when it is used.
    const broken: AnyAdapter = {
      ...(TEST_ADAPTERS.get('door') as AnyAdapter),
      get name(): string {
        throw new TypeError('no name today')
      },
    }
    const { log, meter } = recorder
    const adapters = new Map([...TEST_ADAPTERS, ['broken', broken]])
    const source = await WatchedConfig.open({
      source: folderSource(folder, { clock, log }),
      compile: { adapters },
      clock,
      log,
      meter,
    })
    sources.push(source)
    const good = source.current()
    const handler = (adapter: string) =>
      `apiVersion: config.istio.io/v1alpha2\nkind: handler\nmetadata: {name: t}\nspec: {compiledAdapter: ${adapter}}`
    await write('t.yaml', handler('broken'))
    await source.reload()
    expect(source.status()).toMatchObject({ state: 'failed', snapshotId: good.id })
    expect(recorder.meter.values.get('config_last_reload_ok')).toBe(0)
    expect(recorder.meter.values.get('config_loads_total failed')).toBe(1)
    await source.reload()
    expect(recorder.meter.values.get('config_loads_total failed')).toBe(1)
    await write('t.yaml', handler('denier'))
    await source.reload()
    expect(source.status().state).toBe('ok')
    expect(recorder.meter.values.get('config_last_reload_ok')).toBe(1)
  })

  it('warns of a config that has lost its rules, or keeps the last one where rules are required', async () => {
    const source = await open()
    await rm(join(folder, 'rule.yml'))
    await source.reload()
    expect(source.current().rules).toEqual([])
    expect(recorder.lines.filter((line) => line.startsWith('warn') && line.includes('no rules'))).toHaveLength(1)
    const { log, meter } = recorder
    const strict = {
      source: folderSource(folder, { clock, log }),
      compile: { adapters: TEST_ADAPTERS, requireRules: true },
      clock,
      log,
      meter,
    }
    await expect(WatchedConfig.open(strict)).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/no rules, and rules are required/) as unknown,
    })
    await write('rule.yml', RULE)
    const kept = await WatchedConfig.open(strict)
    sources.push(kept)
    await rm(join(folder, 'rule.yml'))
    await kept.reload()
    expect(kept.status().state).toBe('rejected')
    expect(kept.current().rules).toHaveLength(1)
  })

  it('parses only the files that have changed', async () => {
    const source = await open()
    const [first] = source.current().rules
    await write('other.yaml', RULE.replace('{name: admin}', '{name: other}'))
    // Touched, not changed.
    await write('rule.yml', RULE)
    await source.reload()
    expect(source.current().rules).toHaveLength(2)
    expect(source.current().rules[0]).toBe(first)
  })

  it('sees a change without being told, within a second of its clock', async () => {
    const source = await open()
    const changed = new Promise<void>((resolve) => source.onChange(() => resolve()))
    await write('rule.yml', RULE.replace('/admin', '/other'))
    await clock.advance(1000)
    await changed
    expect(source.current().rules[0]?.match?.source).toContain('/other')
  })

  it('sees a change at once by a file event, and waits until the writing is over', async () => {
    const source = await open()
    const changed = new Promise<void>((resolve) => source.onChange(() => resolve()))
    const idle = clock.pending
    await write('rule.yml', RULE.replace('/admin', '/other'))
    await vi.waitUntil(() => clock.pending > idle, { timeout: 15_000 })
    expect(source.current().rules[0]?.match?.source).toContain('/admin')
    await clock.advance(100)
    await changed
    expect(source.current().rules[0]?.match?.source).toContain('/other')
  })

  it('does not compile what was only touched', async () => {
    const source = await open()
    await write('rule.yml', RULE)
    await source.reload()
    expect([...recorder.meter.values.keys()].filter((key) => key.startsWith('config_loads_total'))).toEqual([])
    expect(source.status().state).toBe('ok')
  })

  it('reads a folder as Kubernetes mounts it, and sees the swap of its link', async () => {
    const mount = join(folder, 'mount')
    await mkdir(join(mount, '..v1'), { recursive: true })
    await writeFile(join(mount, '..v1', 'all.yaml'), [MANIFEST, DENY, RULE].join('\n---\n'))
    await symlink('..v1', join(mount, '..data'))
    await symlink('..data/all.yaml', join(mount, 'all.yaml'))
    const source = await open(mount)
    expect(source.current().rules).toHaveLength(1)
    await mkdir(join(mount, '..v2'))
    await writeFile(join(mount, '..v2', 'all.yaml'), [MANIFEST, DENY].join('\n---\n'))
    await symlink('..v2', join(mount, '..next'))
    await rename(join(mount, '..next'), join(mount, '..data'))
    await source.reload()
    expect(source.current().rules).toHaveLength(0)
  })

  it('takes no further look after it was closed', async () => {
    const source = await open()
    source.close()
    await write('rule.yml', RULE.replace('/admin', '/other'))
    await source.reload()
    expect(source.current().rules[0]?.match?.source).toContain('/admin')
    expect(clock.pending).toBe(0)
  })
})

describe('loading a folder', () => {
  it('leaves hidden files, sub-folders and other endings alone', async () => {
    await mkdir(join(folder, 'more.yaml'))
    await write('.hidden.yaml', 'a: [')
    await write('notes.txt', 'a: [')
    const { documents, problems } = await loadConfigFolder(folder)
    expect([documents.length, problems]).toEqual([4, []])
  })

  it('tells files that cannot be read', async () => {
    await symlink('nowhere', join(folder, 'dangling.yaml'))
    await writeFile(join(folder, 'binary.yaml'), Buffer.from([0xff, 0xfe, 0xfa]))
    const { problems } = await loadConfigFolder(folder)
    expect(problems.map(({ file }) => file)).toEqual([join(folder, 'binary.yaml'), join(folder, 'dangling.yaml')])
  })
})
