import { lstat, mkdtemp, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { NO_RECORDS } from '../../../src/rollout/follower/records.ts'
import { VersionDisk } from '../../../src/rollout/follower/version-disk.ts'
import { KeptLog } from '../../redis/support.ts'
import { filesOf, idOf } from '../support.ts'

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'intermix-versions-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

it('keeps versions and records for the next process', async () => {
  const path = await folder()
  const disk = new VersionDisk(path, new KeptLog())
  await disk.keep(idOf('a'), filesOf('a'))
  disk.write({ ...NO_RECORDS, confirmed: [idOf('a')] })
  const next = new VersionDisk(path, new KeptLog())
  expect(next.records.confirmed).toEqual([idOf('a')])
  expect(await next.read(idOf('a'))).toEqual(filesOf('a'))
  expect(await next.read(idOf('b'))).toBeUndefined()
})

it('lets nobody else read them', async () => {
  const path = join(await folder(), 'made', 'here')
  const disk = new VersionDisk(path, new KeptLog())
  await disk.keep(idOf('a'), filesOf('a'))
  expect((await stat(path)).mode & 0o777).toBe(0o700)
  for (const name of await readdir(path)) expect((await stat(join(path, name))).mode & 0o777).toBe(0o600)
})

it('takes what is damaged for absent, and says so', async () => {
  const path = await folder()
  const log = new KeptLog()
  await writeFile(join(path, 'records.json'), '{"confirmed": [')
  await writeFile(join(path, `${idOf('a')}.config`), 'no version')
  const disk = new VersionDisk(path, log)
  expect(disk.records).toEqual(NO_RECORDS)
  expect(await disk.read(idOf('a'))).toBeUndefined()
  expect(log.lines.join('\n')).toMatch(/records of config versions are damaged[^]*cannot be read/)
})

it('keeps what only cannot be read now', async () => {
  const path = await folder()
  const disk = new VersionDisk(path, new KeptLog())
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
  expect(await readdir(path)).toEqual(['records.json'])
})

it('does not take one version for another', async () => {
  const path = await folder()
  const disk = new VersionDisk(path, new KeptLog())
  await disk.keep(idOf('b'), filesOf('a'))
  expect(await disk.read(idOf('b'))).toBeUndefined()
})

it('removes what no start needs, and what a crash has left half written', async () => {
  const path = await folder()
  const disk = new VersionDisk(path, new KeptLog())
  for (const name of ['a', 'b', 'c']) await disk.keep(idOf(name), filesOf(name))
  await writeFile(join(path, `${idOf('d')}.config.new`), 'half')
  disk.write({ ...NO_RECORDS, confirmed: [idOf('a')], stable: idOf('b') })
  await disk.tidy()
  expect((await readdir(path)).toSorted()).toEqual(
    [`${idOf('a')}.config`, `${idOf('b')}.config`, 'records.json'].toSorted(),
  )
})

it('refuses a folder that cannot be used', async () => {
  const path = join(await folder(), 'file')
  await writeFile(path, '')
  expect(() => new VersionDisk(path, new KeptLog())).toThrow(/--config-cache: .* cannot be used/)
})
