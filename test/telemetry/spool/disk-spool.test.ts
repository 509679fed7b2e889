import { mkdirSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parcelToJob } from '../../../src/telemetry/parcel.ts'
import { DiskSpool } from '../../../src/telemetry/spool/disk-spool.ts'
import { thisProcess } from '../../../src/kernel/process-identity.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { KeptLog } from '../../redis/support.ts'
import { copyOf, drain, life, parcel, segmentsIn, spoolDirectory } from './support.ts'

describe('the disk spool', () => {
  it('hands out what it stored, oldest first, and leaves nothing behind when all is done', async () => {
    const directory = spoolDirectory()
    const { spool } = await life(directory)
    await Promise.all(Array.from({ length: 300 }, (_, i) => spool.append(parcel(`p-${i}`, 3, i))))
    expect(spool.records).toBe(900)
    const first = await spool.take()
    expect(first?.parcel).toEqual(parcel('p-0', 3, 0))
    if (first !== undefined) spool.putBack(first)
    expect(await drain(spool)).toEqual(Array.from({ length: 300 }, (_, i) => `p-${i}`))
    expect([spool.records, spool.bytes, segmentsIn(directory)]).toEqual([0, 0, []])
    await spool.append(parcel('later'))
    expect(await drain(spool)).toEqual(['later'])
    await spool.close()
    expect(readdirSync(directory)).toEqual([])
  })

  it('goes on to another segment, and removes those that are done with', async () => {
    const directory = spoolDirectory()
    const { spool } = await life(directory, { maxBytes: 1024 * 1024 })
    for (let i = 0; i < 20; i++) await spool.append(parcel(`p-${i}`, 1, 20_000))
    expect(segmentsIn(directory).length).toBeGreaterThan(5)
    const bytes = spool.bytes
    for (let i = 0; i < 10; i++) {
      const taken = await spool.take()
      if (taken !== undefined) spool.done(taken)
    }
    await expect.poll(() => spool.bytes).toBeLessThan(bytes / 1.5)
    await spool.close()
  })

  it('has room up to its bound, with what is being written', async () => {
    const { spool } = await life(spoolDirectory(), { maxBytes: 100_000 })
    const stored: Promise<void>[] = []
    for (let i = 0; i < 20; i++) {
      const next = parcel(`p-${i}`, 1, 10_000)
      if (spool.hasRoom(next)) stored.push(spool.append(next))
    }
    expect(stored).toHaveLength(9)
    await Promise.all(stored)
    expect(spool.hasRoom(parcel('more', 1, 10_000))).toBe(false)
    await drain(spool)
    expect(spool.hasRoom(parcel('more', 1, 10_000))).toBe(true)
    await spool.close()
  })

  it('is taken over where its process was killed, without what was handed on already', async () => {
    const directory = spoolDirectory()
    const first = await life(directory)
    for (let i = 0; i < 10; i++) await first.spool.append(parcel(`p-${i}`, 2))
    const taken = [await first.spool.take(), await first.spool.take(), await first.spool.take()]
    // The second one is still on its way: what follows it will be handed on once more.
    for (const at of [0, 2]) {
      const each = taken[at]
      if (each !== undefined) first.spool.done(each)
    }
    await expect.poll(() => readFileSync(segmentsIn(directory)[0] ?? '').readUInt32LE(8)).toBeGreaterThan(16)
    const second = await life(directory)
    expect(await drain(second.spool)).toEqual(Array.from({ length: 9 }, (_, i) => `p-${i + 1}`))
    expect(second.told).toEqual({ recovered: 18, lost: 0 })
    await second.spool.close()
    expect(readdirSync(directory)).toEqual([])
  })

  it('is left alone while its process lives, and taken over when that has ended well', async () => {
    const directory = spoolDirectory()
    const first = await life(directory, { identity: thisProcess() })
    await first.spool.append(parcel('mine'))
    const second = await life(directory)
    expect(await drain(second.spool)).toEqual([])
    await second.clock.advance(60_000)
    expect(await drain(second.spool)).toEqual([])
    await first.spool.close()
    expect(first.spool.records).toBe(1)
    await second.clock.advance(2_000)
    await expect.poll(() => drain(second.spool)).toEqual(['mine'])
    await second.spool.close()
  })

  it('of a process elsewhere is taken over when that has given no sign of life for a while', async () => {
    const directory = spoolDirectory()
    const first = await life(directory, { identity: { space: 'elsewhere', pid: 1, started: '1' } })
    await first.spool.append(parcel('left'))
    const second = await life(directory)
    const wait = async (ms: number) => {
      await second.clock.advance(ms)
      return await drain(second.spool)
    }
    expect(await wait(2_000)).toEqual([])
    expect(await wait(14_000)).toEqual([])
    const [folder] = readdirSync(directory)
    utimesSync(join(directory, folder ?? ''), 9, 9)
    expect(await wait(10_000)).toEqual([])
    expect(await wait(14_000)).toEqual([])
    await expect.poll(() => wait(2_000)).toEqual(['left'])
    await second.spool.close()
  })

  it('is shared out between processes, each parcel to one', async () => {
    const directory = spoolDirectory()
    const dead = await life(directory, { maxBytes: 1024 * 1024 })
    const ids = Array.from({ length: 60 }, (_, i) => `p-${i}`)
    for (const id of ids) await dead.spool.append(parcel(id, 1, 10_000))
    const lives = await Promise.all(Array.from({ length: 3 }, () => life(directory, { identity: thisProcess() })))
    // Who was too late for a file looks again later.
    const drained: string[] = []
    for (let look = 0; look < 3; look++) {
      drained.push(...(await Promise.all(lives.map(({ spool }) => drain(spool)))).flat())
    }
    expect(drained.toSorted()).toEqual(ids.toSorted())
    for (const { spool } of lives) await spool.close()
  })

  it('keeps the order of what several processes took over in part', async () => {
    const directory = spoolDirectory()
    const first = await life(directory, { maxBytes: 1024 * 1024 })
    const ids = Array.from({ length: 20 }, (_, i) => `p-${i}`)
    for (const id of ids) await first.spool.append(parcel(id, 1, 10_000))
    for (let i = 0; i < 3; i++) {
      const next = await life(directory, { maxBytes: 1024 * 1024 })
      await next.spool.append(parcel(`later-${i}`))
      await next.spool.take()
    }
    expect(await drain((await life(directory)).spool)).toEqual([...ids, 'later-0', 'later-1', 'later-2'])
  })

  it('survives a take-over that is itself cut short, again and again', async () => {
    const directory = spoolDirectory()
    const first = await life(directory)
    await first.spool.append(parcel('a'))
    await first.spool.append(parcel('b'))
    for (let i = 0; i < 30; i++) expect((await (await life(directory)).spool.take())?.parcel.id).toBe('a')
    expect(await drain((await life(directory)).spool)).toEqual(['a', 'b'])
  })

  it('reads the files of the version before, once, up to where they are damaged', async () => {
    const directory = spoolDirectory()
    const record = (id: string) => {
      const body = Buffer.from(JSON.stringify(parcelToJob(parcel(id, 4))))
      const head = Buffer.alloc(8)
      head.writeUInt32LE(body.length, 0)
      head.writeUInt32LE(crc32(body), 4)
      return Buffer.concat([head, body])
    }
    writeFileSync(join(directory, '1700000000000-node.spool'), Buffer.concat(['a', 'b', 'c'].map(record)))
    truncateSync(join(directory, '1700000000000-node.spool'), record('a').length * 3 - 5)
    writeFileSync(join(directory, 'notes.txt'), 'not ours')
    const { spool, log, told } = await life(directory)
    expect(await drain(spool)).toEqual(['a', 'b'])
    expect(told).toEqual({ recovered: 8, lost: 0 })
    expect(log.lines.join()).toContain('damaged')
    await spool.close()
    expect(readdirSync(directory)).toEqual(['notes.txt'])
  })

  it('does not count what could not be written, and goes on', async () => {
    const directory = spoolDirectory()
    const { spool } = await life(directory)
    const [folder] = readdirSync(directory)
    const blocker = spool.folder
    expect(folder).toBeDefined()
    // A folder stands where the first segment would: as good as a disk that refuses.
    await spool.append(parcel('a'))
    await drain(spool)
    const names = Array.from({ length: 3 }, (_, i) => segmentNameOf(blocker, i + 1))
    for (const name of names) mkdirSync(name)
    for (const _ of names) await expect(spool.append(parcel('refused'))).rejects.toThrow('EEXIST')
    expect(spool.records).toBe(0)
    await spool.append(parcel('b'))
    expect(await drain(spool)).toEqual(['b'])
    await spool.close()
  })

  it('goes on beside what looks like a file of its own and cannot be opened, and leaves it where it is', async () => {
    const directory = spoolDirectory()
    const names = ['0000000001-deadbeef.segment', 'older.spool']
    for (const name of names) mkdirSync(join(directory, name))
    const { spool, log } = await life(directory)
    await spool.append(parcel('own'))
    expect(await drain(spool)).toEqual(['own'])
    expect(log.lines.filter((line) => line.includes('a spool file cannot be opened'))).toHaveLength(2)
    await spool.close()
    const left = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    for (const name of names) expect(left.some((path) => path.endsWith(name))).toBe(true)
  })

  it('refuses a directory that it cannot use, and ends all the same', async () => {
    const directory = join(spoolDirectory(), 'a file')
    writeFileSync(directory, '')
    const refused = { code: 'INVALID_SETTING', message: expect.stringMatching(/^--spool-dir: .*a file.*\(EEXIST\)/) }
    const spool = new DiskSpool({
      directory,
      maxBytes: 1024,
      fsync: 'always',
      processId: 'node',
      clock: new FakeClock(),
      random: Math.random,
      log: new KeptLog(),
    })
    const events = { onLeft: () => {}, onRecovered: () => {}, onLost: () => {} }
    await expect(spool.open(events)).rejects.toMatchObject(refused)
    await spool.close()
  })
})

function segmentNameOf(folder: string, serial: number): string {
  const seed = /([0-9a-f]+)@/.exec(folder)?.[1] ?? ''
  return join(folder, `${String(serial).padStart(10, '0')}-${seed.padStart(8, '0')}.segment`)
}

describe('a disk spool after a kill or damage', () => {
  const payload = fc.uint8Array({ maxLength: 60 })

  it('keeps every synced parcel, in order, and invents none, whatever the file was cut at', async () => {
    const directory = spoolDirectory()
    const { spool } = await life(directory)
    const sizes: number[] = []
    for (let i = 0; i < 12; i++) {
      await spool.append(parcel(`p-${i}`, 1, i * 7))
      sizes.push(spool.bytes)
    }
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: spool.bytes }), async (size) => {
        const copy = copyOf(directory)
        for (const path of segmentsIn(copy)) truncateSync(path, size)
        const kept = sizes.filter((end) => end <= size).length
        const next = await life(copy)
        expect(await drain(next.spool)).toEqual(Array.from({ length: kept }, (_, i) => `p-${i}`))
        expect(next.told).toEqual({ recovered: kept, lost: 0 })
      }),
      { numRuns: 60 },
    )
  })

  it('loses no more than the parcels in which bits have changed', async () => {
    const directory = spoolDirectory()
    const { spool } = await life(directory)
    const ends: number[] = []
    for (let i = 0; i < 12; i++) {
      await spool.append(parcel(`p-${i}`, 1, i * 7))
      ends.push(spool.bytes)
    }
    const flip = fc.record({ at: fc.integer({ min: 0, max: spool.bytes - 1 }), bit: fc.integer({ min: 0, max: 7 }) })
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(flip, { minLength: 1, maxLength: 6, selector: ({ at }) => at }),
        async (flips) => {
          const copy = copyOf(directory)
          const [path = ''] = segmentsIn(copy)
          const bytes = readFileSync(path)
          for (const { at, bit } of flips) bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
          writeFileSync(path, bytes)
          const isHit = (i: number) => flips.some(({ at }) => at >= (ends[i - 1] ?? 16) && at < (ends[i] ?? 0))
          const whole = [...ends.keys()].filter((i) => !isHit(i)).map((i) => `p-${i}`)
          expect(await drain((await life(copy)).spool)).toEqual(whole)
        },
      ),
      { numRuns: 100 },
    )
  })

  it('takes no payload for a parcel', async () => {
    const directory = spoolDirectory()
    const { spool } = await life(directory)
    await spool.append(parcel('inner'))
    const [path = ''] = segmentsIn(directory)
    const inner = readFileSync(path).subarray(16)
    await fc.assert(
      fc.asyncProperty(payload, payload, async (before, after) => {
        const other = spoolDirectory()
        const outer = await life(other)
        const carried = {
          ...parcel('outer'),
          batches: parcel('outer').batches.map((each) => ({ ...each, payload: Buffer.concat([before, inner, after]) })),
        }
        await outer.spool.append(carried)
        const [file = ''] = segmentsIn(other)
        const bytes = readFileSync(file)
        // The head of the outer one is destroyed: what lies in it is searched for records.
        bytes.fill(0, 16, 20)
        writeFileSync(file, bytes)
        expect(await drain((await life(other)).spool)).toEqual([])
      }),
      { numRuns: 20 },
    )
  })

  it('keeps what it stored in any order of storing, handing on, failing and being killed', async () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ kind: fc.constant('append' as const), many: fc.integer({ min: 1, max: 5 }) }),
      },
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant('hand on' as const), many: fc.integer({ min: 1, max: 4 }) }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('fail' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('kill' as const, 'end' as const) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const directory = spoolDirectory()
        let { spool } = await life(directory, { maxBytes: 1024 * 1024 })
        const stored = new Set<string>()
        const handedOn: string[] = []
        let serial = 0
        for (const each of steps) {
          if (each.kind === 'append') {
            const ids = Array.from({ length: each.many }, () => `p-${String(serial++).padStart(5, '0')}`)
            await Promise.all(ids.map((id) => spool.append(parcel(id, 2, 9_000))))
            for (const id of ids) stored.add(id)
          } else if (each.kind === 'hand on') {
            for (let i = 0; i < each.many; i++) {
              const taken = await spool.take()
              if (taken === undefined) break
              handedOn.push(taken.parcel.id)
              spool.done(taken)
            }
          } else if (each.kind === 'fail') {
            const taken = await spool.take()
            if (taken !== undefined) spool.putBack(taken)
          } else {
            if (each.kind === 'end') await spool.close()
            ;({ spool } = await life(directory, { maxBytes: 1024 * 1024 }))
          }
        }
        handedOn.push(...(await drain(spool)))
        expect([...new Set(handedOn)].toSorted()).toEqual([...stored].toSorted())
        // Those that come for the first time come in the order of storing.
        expect([...new Set(handedOn)]).toEqual([...stored])
        await spool.close()
      }),
      { numRuns: 40 },
    )
  })
})
