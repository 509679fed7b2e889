import { lstat, mkdir, mkdtemp, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { NO_RECORDS } from '../../../src/rollout/follower/records.ts'
import { VersionDisk, type VersionDiskOptions } from '../../../src/rollout/follower/version-disk.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../../redis/support.ts'
import { filesOf, idOf } from '../support.ts'
import { killedLater } from './killed-later.ts'

const ports = (log = new KeptLog()) => ({ clock: new FakeClock(), log, meter: new ReadableMeter() })

/** As by a process that is killed before the next one comes. */
async function opened(path: string, { identity = killedLater(), ...more }: VersionDiskOptions): Promise<VersionDisk> {
  const disk = new VersionDisk(path, { ...more, identity })
  await disk.claim()
  return disk
}

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'intermix-versions-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

it('keeps versions and records for the next process', async () => {
  const path = await folder()
  const disk = await opened(path, ports())
  await disk.keep(idOf('a'), filesOf('a'))
  disk.write({ ...NO_RECORDS, confirmed: [idOf('a')] })
  const next = await opened(path, ports())
  expect(next.records.confirmed).toEqual([idOf('a')])
  expect(await next.read(idOf('a'))).toEqual(filesOf('a'))
  expect(await next.read(idOf('b'))).toBeUndefined()
})

it('lets nobody else read them', async () => {
  const path = join(await folder(), 'made', 'here')
  const disk = await opened(path, ports())
  await disk.keep(idOf('a'), filesOf('a'))
  expect((await stat(path)).mode & 0o777).toBe(0o700)
  for (const name of await readdir(path)) expect((await stat(join(path, name))).mode & 0o777).toBe(0o600)
})

it('takes what is damaged for absent, and says so', async () => {
  const path = await folder()
  const log = new KeptLog()
  await writeFile(join(path, 'records.json'), '{"confirmed": [')
  await writeFile(join(path, `${idOf('a')}.config`), 'no version')
  const disk = await opened(path, ports(log))
  expect(disk.records).toEqual(NO_RECORDS)
  expect(await disk.read(idOf('a'))).toBeUndefined()
  expect(log.lines.join('\n')).toMatch(/records of config versions are damaged[^]*cannot be read/)
})

it('keeps what only cannot be read now', async () => {
  const path = await folder()
  const disk = await opened(path, ports())
  await disk.keep(idOf('a'), filesOf('a'))
  const [file, aside] = [join(path, `${idOf('a')}.config`), join(path, 'aside')]
  // Reading fails by the file system.
  await rename(file, aside)
  await symlink(file, file)
  expect(await disk.read(idOf('a'))).toBeUndefined()
  expect((await lstat(file)).isSymbolicLink()).toBe(true)
  await rename(aside, file)
  expect(await disk.read(idOf('a'))).toEqual(filesOf('a'))
  await writeFile(file, 'damaged')
  expect(await disk.read(idOf('a'))).toBeUndefined()
  expect(await readdir(path)).toEqual(['lock', 'records.json'])
})

it('does not take one version for another', async () => {
  const path = await folder()
  const disk = await opened(path, ports())
  await disk.keep(idOf('b'), filesOf('a'))
  expect(await disk.read(idOf('b'))).toBeUndefined()
})

it('removes what no start needs, and what a crash has left half written', async () => {
  const path = await folder()
  const disk = await opened(path, ports())
  for (const name of ['a', 'b', 'c']) await disk.keep(idOf(name), filesOf(name))
  await writeFile(join(path, `${idOf('d')}.config.new`), 'half')
  disk.write({ ...NO_RECORDS, confirmed: [idOf('a')], stable: idOf('b') })
  await disk.tidy()
  expect((await readdir(path)).toSorted()).toEqual(
    [`${idOf('a')}.config`, `${idOf('b')}.config`, 'lock', 'records.json'].toSorted(),
  )
})

it('removes nothing that is being written, and writes what is asked for twice once', async () => {
  const path = await folder()
  const { log, ...more } = ports()
  const disk = await opened(path, { log, ...more })
  for (let n = 0; n < 50; n++) {
    const id = idOf(`v${n}`)
    disk.write({ ...NO_RECORDS, stable: id })
    const [, , rest] = [disk.keep(id, filesOf(`v${n}`)), disk.tidy(), disk.keep(id, filesOf(`v${n}`))]
    await disk.tidy()
    await rest
    expect(disk.trouble).toBeUndefined()
    expect(await disk.read(id)).toEqual(filesOf(`v${n}`))
  }
  expect(log.lines).toEqual([])
})

it.each([
  ['a file', ['file']],
  ['in a file', ['file', 'folder']],
])('refuses a path that is %s', async (_, names) => {
  const path = await folder()
  await writeFile(join(path, 'file'), '')
  expect(() => new VersionDisk(join(path, ...names), ports())).toThrow(/--config-cache: .* cannot be a folder: /)
})

it('runs without a folder that cannot be written, says so once, and uses it when it can be', async () => {
  const path = await folder()
  const before = await opened(path, ports())
  await before.keep(idOf('a'), filesOf('a'))
  before.write({ ...NO_RECORDS, confirmed: [idOf('a')] })
  // Whatever writes a file here fails from now on.
  const blocked = ['records.json.new', `${idOf('b')}.config.new`]
  for (const name of blocked) await mkdir(join(path, name))
  const { clock, log, meter } = ports()
  const disk = await opened(path, { clock, log, meter })
  const usable = () => meter.value('rollout_cache_usable')
  expect([disk.trouble, usable()]).toEqual([expect.stringContaining('cannot be written'), 0])
  expect(disk.records.confirmed).toEqual([idOf('a')])
  expect(await disk.read(idOf('a'))).toEqual(filesOf('a'))
  disk.write({ ...NO_RECORDS, stable: idOf('b') })
  expect(disk.records.stable).toBe(idOf('b'))
  expect(log.lines.filter((line) => line.includes('--config-cache cannot be written'))).toHaveLength(1)
  await disk.keep(idOf('b'), filesOf('b'))
  for (const name of blocked) await rm(join(path, name), { recursive: true })
  disk.write(disk.records)
  expect([disk.trouble, usable()]).toEqual([undefined, 1])
  expect((await opened(path, ports())).records.stable).toBe(idOf('b'))
})

it.runIf(process.platform === 'linux')('runs without a folder that cannot be made', async () => {
  const disk = await opened('/sys/intermix/process-1', ports())
  expect(disk.trouble).toMatch(/^it cannot be written: .*mkdir '\/sys\/intermix/)
  expect(disk.records).toEqual(NO_RECORDS)
})
