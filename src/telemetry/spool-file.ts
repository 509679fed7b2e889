// What a node could not hand to the queue before it had to end, kept on disk for its next start.
//
// A file is a sequence of records: length (32 bits), CRC-32 of the body (32 bits), both little-endian, and the body, the
// JSON of a parcel. Reading ends at the first record that is cut off or damaged.

import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Parcel, parcelFromJob, parcelToJob } from './parcel.ts'

const HEAD_BYTES = 8
const SUFFIX = '.spool'
const UNFINISHED = '.part'
const MAX_FILE_BYTES = 1024 ** 3

interface SpoolFile {
  readonly path: string
  readonly parcels: readonly Parcel[]
  /** Whether the file ended in a damaged record. */
  readonly damaged: boolean
}

/** Which files are whose, where several processes of a node keep theirs in one folder. */
export interface SpoolShare {
  /** From 1. */
  readonly process: number
  readonly processes: number
}

/**
 * Writes parcels to `<directory>/<name>.spool` and syncs it to disk. It has its name only when it is whole: another process
 * may look meanwhile.
 * @returns those that were written in full; the rest did not fit in 1 GB or met an error, which is thrown when nothing was
 * written at all.
 */
export function writeSpoolFile(directory: string, name: string, parcels: readonly Parcel[]): Parcel[] {
  const written: Parcel[] = []
  if (parcels.length === 0) return written
  const path = join(directory, name + SUFFIX)
  const file = openSync(path + UNFINISHED, 'w', 0o600)
  let size = 0
  try {
    for (const parcel of parcels) {
      const body = Buffer.from(JSON.stringify(parcelToJob(parcel)))
      size += HEAD_BYTES + body.length
      if (size > MAX_FILE_BYTES) break
      const head = Buffer.alloc(HEAD_BYTES)
      head.writeUInt32LE(body.length, 0)
      head.writeUInt32LE(crc32(body), 4)
      const record = Buffer.concat([head, body])
      if (writeSync(file, record) < record.length) break
      written.push(parcel)
    }
    fsyncSync(file)
  } catch (error) {
    if (written.length === 0) throw error
  } finally {
    closeSync(file)
  }
  renameSync(path + UNFINISHED, path)
  return written
}

/**
 * Reads the spool files of a directory, oldest name first: each is read by one process, that of the number with which its
 * name ends, whatever the number of processes was.
 */
export function readSpoolFiles(directory: string, { process, processes }: SpoolShare): SpoolFile[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith(SUFFIX) && readerOf(name, processes) === process)
    .sort()
    .map((name) => readFile(join(directory, name)))
}

function readerOf(name: string, processes: number): number {
  const number = Number(/-(\d{1,9})\.spool$/.exec(name)?.[1] ?? 1)
  return ((Math.max(1, number) - 1) % processes) + 1
}

/** Removes a file whose parcels have all found their way. */
export function removeSpoolFile(path: string): void {
  unlinkSync(path)
}

function readFile(path: string): SpoolFile {
  const data = readFileSync(path)
  const parcels: Parcel[] = []
  let at = 0
  while (at < data.length) {
    const length = at + HEAD_BYTES <= data.length ? data.readUInt32LE(at) : Number.POSITIVE_INFINITY
    const end = at + HEAD_BYTES + length
    if (end > data.length) return { path, parcels, damaged: true }
    const body = data.subarray(at + HEAD_BYTES, end)
    if (crc32(body) !== data.readUInt32LE(at + 4)) return { path, parcels, damaged: true }
    try {
      parcels.push(parcelFromJob(JSON.parse(body.toString())))
    } catch {
      return { path, parcels, damaged: true }
    }
    at = end
  }
  return { path, parcels, damaged: false }
}
