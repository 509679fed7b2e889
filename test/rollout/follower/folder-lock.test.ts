// Two processes and one folder: the second leaves it alone, unless the first one is gone.

import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { type ProcessIdentity, thisProcess } from '../../../src/kernel/process-identity.ts'
import { NO_RECORDS } from '../../../src/rollout/follower/records.ts'
import { VersionDisk } from '../../../src/rollout/follower/version-disk.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../../redis/support.ts'
import { filesOf, idOf } from '../support.ts'
import { killedLater } from './killed-later.ts'

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'intermix-lock-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A process that uses the folder, once it has found out whether it may. It lives while time passes on its clock. */
async function user(path: string, identity: ProcessIdentity, clock = new FakeClock()) {
  const [log, meter] = [new KeptLog(), new ReadableMeter()]
  const disk = new VersionDisk(path, { clock, log, meter, identity })
  onTestFinished(() => disk.close())
  const claimed = disk.claim().then(() => true)
  // Files are real, and so is their time.
  const moment = () => stat(path).then(() => false)
  while (!(await Promise.race([claimed, moment()]))) await clock.advance(100)
  return { disk, log, usable: () => meter.value('rollout_cache_usable') }
}

/** In another container: its number says nothing here. */
const elsewhere = (): ProcessIdentity => ({ ...killedLater(), space: 'elsewhere' })

it('leaves the folder of a process that lives alone, and says so', async () => {
  const path = await folder()
  const first = await user(path, thisProcess())
  first.disk.write({ ...NO_RECORDS, confirmed: [idOf('a')] })
  const second = await user(path, killedLater())
  expect(second.disk.trouble).toContain('another process uses it')
  expect([first.usable(), second.usable()]).toEqual([1, 0])
  expect(second.log.lines.join('\n')).toContain('--config-cache cannot be written')
  expect(second.disk.records).toEqual(NO_RECORDS)
  second.disk.write({ ...NO_RECORDS, stable: idOf('b') })
  await second.disk.keep(idOf('b'), filesOf('b'))
  await second.disk.tidy()
  expect(await first.disk.read(idOf('b'))).toBeUndefined()
  expect(JSON.parse(await readFile(join(path, 'records.json'), 'utf8'))).toMatchObject({ confirmed: [idOf('a')] })
})

it('takes the folder when the one that used it has left, with what both have learnt', async () => {
  const path = await folder()
  const clock = new FakeClock()
  const first = await user(path, thisProcess())
  const bad = { version: idOf('x'), rollout: 'try', reason: 'r', isTold: true, at: 1, times: 1 }
  first.disk.write({ ...NO_RECORDS, confirmed: [idOf('a'), idOf('z')], bad: [bad] })
  const second = await user(path, killedLater(), clock)
  second.disk.write({ ...NO_RECORDS, stable: idOf('b'), confirmed: [idOf('b')] })
  await clock.advance(60_000)
  expect(second.usable()).toBe(0)
  first.disk.close()
  const later = async () => {
    await clock.advance(10_000)
    return second.disk.trouble
  }
  await expect.poll(later).toBeUndefined()
  const both = { stable: idOf('b'), confirmed: [idOf('b'), idOf('a')], bad: [bad], boot: undefined }
  expect(second.disk.records).toEqual(both)
  expect((await user(path, killedLater())).disk.records).toEqual(both)
})

it('takes over from one that was killed, or has left', async () => {
  const path = await folder()
  for (const identity of [killedLater(), thisProcess(), killedLater()]) {
    const { disk } = await user(path, identity)
    expect(disk.trouble).toBeUndefined()
    if (identity.pid === process.pid) disk.close()
  }
})

it('watches one that it cannot ask for, and takes over where it gives no sign of life', async () => {
  const path = await folder()
  const clock = new FakeClock()
  const first = await user(path, elsewhere(), clock)
  expect((await user(path, killedLater(), clock)).disk.trouble).toContain('another process uses it')
  first.disk.close()
  await writeFile(join(path, 'lock'), JSON.stringify(elsewhere()))
  expect((await user(path, killedLater())).disk.trouble).toBeUndefined()
  // What makes no sense has no owner.
  await writeFile(join(path, 'lock'), 'x')
  expect((await user(path, elsewhere())).disk.trouble).toBeUndefined()
})

it('writes no more where another process has taken over', async () => {
  const path = await folder()
  const clock = new FakeClock()
  const stalled = await user(path, thisProcess(), clock)
  await writeFile(join(path, 'lock'), JSON.stringify(killedLater()))
  await clock.advance(1_000)
  await expect.poll(() => stalled.disk.trouble).toContain('another process uses it')
  stalled.disk.write({ ...NO_RECORDS, stable: idOf('b') })
  expect((await user(path, killedLater())).disk.records.stable).toBeUndefined()
})
