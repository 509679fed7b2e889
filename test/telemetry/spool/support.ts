import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type Parcel, parcelOf } from '../../../src/telemetry/parcel.ts'
import { DiskSpool, type DiskSpoolOptions } from '../../../src/telemetry/spool/disk-spool.ts'
import { thisProcess } from '../../../src/kernel/process-identity.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { KeptLog } from '../../redis/support.ts'

export function spoolDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'intermix-spool-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** A copy of what a killed process leaves behind. */
export function copyOf(directory: string): string {
  const copy = spoolDirectory()
  cpSync(directory, copy, { recursive: true })
  return copy
}

export function parcel(id: string, count = 1, bytes = 10): Parcel {
  return parcelOf([{ id, format: 'attributes', count, payload: new Uint8Array(bytes).fill(id.length), acceptedAt: 5 }])
}

const IDENTITY = thisProcess()
let lives = 0

/** A process of its own on a directory: of those that were before it, none lives. */
export async function life(directory: string, options: Partial<DiskSpoolOptions> = {}) {
  const log = new KeptLog()
  const clock = new FakeClock(Date.UTC(2026, 0, 15) + lives++)
  const told = { recovered: 0, lost: 0 }
  const spool = new DiskSpool({
    directory,
    maxBytes: 64 * 1024 * 1024,
    fsync: 'always',
    clock,
    random: Math.random,
    log,
    processId: 'node',
    // No process has such a number.
    identity: { ...IDENTITY, pid: 2 ** 30 + lives },
    ...options,
  })
  await spool.open({
    onLeft: () => {},
    onRecovered: (records) => void (told.recovered += records),
    onLost: (records) => void (told.lost += records),
  })
  // As if killed, but that this process has its files still open.
  onTestFinished(() => spool.close().catch(() => undefined))
  return { spool, log, clock, told }
}

/** Takes all that is there. @returns the parcels' ids in order */
export async function drain(spool: DiskSpool): Promise<string[]> {
  const ids: string[] = []
  for (let taken = await spool.take(); taken !== undefined; taken = await spool.take()) {
    ids.push(taken.parcel.id)
    spool.done(taken)
  }
  return ids
}

/** All segments below a directory. */
export function segmentsIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.segment'))
    .toSorted()
    .map((name) => join(directory, name))
}
