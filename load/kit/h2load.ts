// h2load of nghttp2 as a second opinion: it costs less than our driver, asks one request again and again, and knows nothing
// of what is answered.

import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { DOORS } from './doors.ts'
import type { Load } from './load.ts'
import { cpuSeconds } from './process-usage.ts'
import { writeRequest } from './request-template.ts'

const MESSAGE_HEAD_BYTES = 5

/** A row for `printTable`. @throws Error for loads that h2load cannot make, and where it is not installed */
export async function runH2load(load: Load): Promise<Readonly<Record<string, string | number>>> {
  const [part] = load.parts
  const { pace } = load
  const door = DOORS[part?.door ?? 'http']
  if (part === undefined || load.parts.length > 1 || pace.kind !== 'closed' || door.protocol !== 'grpc')
    throw new Error('--h2load: only for a closed loop at one gRPC door of single calls')
  const { path } = door
  const template = door.request(load.request)
  const message = Buffer.alloc(MESSAGE_HEAD_BYTES + template.bytes.length)
  message.writeUInt32BE(template.bytes.length, 1)
  writeRequest(template, message, MESSAGE_HEAD_BYTES, 0)
  const folder = await mkdtemp(join(tmpdir(), 'intermix-h2load-'))
  try {
    await writeFile(join(folder, 'body'), message)
    const clients = Math.min(load.connections, pace.inFlight)
    const before = cpuSeconds(load.pids)
    const perClient = Math.ceil(pace.inFlight / clients)
    const form = `-c${clients} -m${perClient} -D${Math.ceil(pace.seconds)}`.split(' ')
    const url = `http://${part.address.host}:${part.address.port}${path}`
    const headers = ['content-type: application/grpc', 'te: trailers'].flatMap((header) => ['-H', header])
    const { stdout } = await promisify(execFile)('h2load', [...form, '-d', join(folder, 'body'), ...headers, url])
    const used = cpuSeconds(load.pids) - before
    const { done, rate } = readH2load(stdout)
    return {
      server: 'the same by h2load',
      'checks/s': rate,
      'CPU s/million': ((used * 1e6) / Math.max(1, done)).toFixed(1),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What it printed: requests that were answered, and whole ones a second. */
export function readH2load(output: string): { readonly done: number; readonly rate: number } {
  const done = /(\d+) succeeded/.exec(output)?.[1]
  const rate = /finished in [^,]+, ([\d.]+) req\/s/.exec(output)?.[1]
  if (done === undefined || rate === undefined) throw new Error(`h2load printed no figures:\n${output}`)
  return { done: Number(done), rate: Math.round(Number(rate)) }
}
