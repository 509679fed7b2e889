// The options by which commands describe a load.

import type { ParseArgsOptionsConfig } from 'node:util'
import type { Phase } from '../schedule.ts'
import { DOOR_NAMES, type DoorName, type RequestKind } from './doors.ts'
import type { Load } from './load.ts'
import type { Server } from './servers.ts'
import { MAX_KEYS } from './request-template.ts'

const REQUEST_KINDS = ['mesh', 'bare'] as const

/** For `parseArgs`. */
export const LOAD_OPTIONS = {
  door: { type: 'string', default: 'ext_authz' },
  rate: { type: 'string' },
  'in-flight': { type: 'string', default: '64' },
  seconds: { type: 'string', default: '10' },
  settle: { type: 'string', default: '2' },
  connections: { type: 'string', default: '4' },
  keys: { type: 'string', default: '100' },
  zipf: { type: 'string', default: '1' },
  fresh: { type: 'string', default: '0' },
  request: { type: 'string', default: 'mesh' },
  timeout: { type: 'string', default: '1000' },
  seed: { type: 'string', default: '1' },
} as const satisfies ParseArgsOptionsConfig

/** Help of these options. */
export const LOAD_HELP = `  --door NAME[:SHARE],…   ${DOOR_NAMES.join(', ')}; several share the requests; default ext_authz
  --rate PHASE,…          open loop: 5000 a second, or 100-9000 for a ramp; 5000@20 lasts 20 s, others share --seconds
                          evenly. Without --rate, closed loop: as many as the server answers
  --in-flight N           closed loop: calls under way; default 64
  --seconds N             length of the run, without settling; default 10
  --settle N              seconds before it that are not counted; default 2
  --connections N         for each door; at HTTP at least --in-flight, with --rate at least 64; default 4
  --keys N                different requests, each asked once before the run; default 100
  --zipf EXPONENT         how uneven they are asked for; 0 is evenly; default 1
  --fresh SHARE           share of requests that nobody has asked before; default 0
  --request mesh|bare     30 attributes and 13 headers, or the least; default mesh
  --timeout MS            callers leave after that; default 1000
  --seed N                the same seed makes the same requests; default 1`

export type LoadValues = { readonly [K in keyof typeof LOAD_OPTIONS]?: string }

/** The load without what belongs to a server. @throws Error that names the option, and what it may be */
export function readLoad(values: LoadValues): Omit<Load, 'parts' | 'decides' | 'pids'> & { readonly doors: Doors } {
  const number = (name: keyof LoadValues, min: number, max: number) => {
    const text = values[name] ?? ''
    const value = Number(text)
    if (text === '' || !(value >= min && value <= max))
      throw new Error(`--${name} ${text}: must be a number from ${min} to ${max}`)
    return value
  }
  const seconds = number('seconds', 0.1, 86_400)
  const settleSeconds = number('settle', 0, 3_600)
  const inFlight = Math.round(number('in-flight', 1, 100_000))
  const request = REQUEST_KINDS.find((kind) => kind === values.request)
  if (request === undefined) throw new Error(`--request ${values.request}: must be one of ${REQUEST_KINDS.join(', ')}`)
  return {
    doors: readDoors(values.door ?? ''),
    request: request satisfies RequestKind,
    keys: {
      count: Math.round(number('keys', 1, MAX_KEYS)),
      zipf: number('zipf', 0, 10),
      fresh: number('fresh', 0, 1),
    },
    pace:
      values.rate === undefined
        ? { kind: 'closed', inFlight, seconds: seconds + settleSeconds }
        : { kind: 'open', phases: readRate(values.rate, seconds, settleSeconds) },
    settleSeconds,
    connections: Math.round(number('connections', 1, 10_000)),
    timeoutMs: number('timeout', 1, 600_000),
    seed: number('seed', 0, 2 ** 32 - 1),
    fill: true,
  }
}

export type Doors = readonly { readonly door: DoorName; readonly share: number }[]

/** The load on one server. */
export function loadOn(server: Server, given: ReturnType<typeof readLoad>): Load {
  const { doors, ...load } = given
  return {
    ...load,
    parts: doors.map(({ door, share }) => ({ door, share, address: server.address(door) })),
    decides: server.decides,
    pids: server.pids,
  }
}

function readDoors(text: string): Doors {
  return text.split(',').map((part) => {
    const [name, share = '1'] = part.split(':')
    const door = DOOR_NAMES.find((known) => known === name)
    if (door === undefined) throw new Error(`--door ${name}: must be one of ${DOOR_NAMES.join(', ')}`)
    if (!(Number(share) > 0)) throw new Error(`--door ${part}: the share must be a number above 0`)
    return { door, share: Number(share) }
  })
}

/** `500`, `100-900`, `100-900@30,900@10`: a first steady phase of its starting rate settles. */
export function readRate(text: string, seconds: number, settleSeconds: number): readonly Phase[] {
  const parts = text.split(',').map((part) => {
    const found = /^(?<from>\d+(\.\d+)?)(-(?<to>\d+(\.\d+)?))?(@(?<seconds>\d+(\.\d+)?))?$/.exec(part)?.groups
    const from = Number(found?.['from'] ?? NaN)
    if (!(from >= 0)) throw new Error(`--rate ${part}: must be like 5000, 100-9000 or 5000@20`)
    const own = found?.['seconds']
    return { from, to: Number(found?.['to'] ?? from), seconds: own === undefined ? undefined : Number(own) }
  })
  const open = parts.filter((part) => part.seconds === undefined).length
  const told = parts.reduce((sum, part) => sum + (part.seconds ?? 0), 0)
  if (open > 0 && told >= seconds)
    throw new Error(`--rate ${text}: its phases leave nothing of the ${seconds} s of --seconds`)
  const first = parts[0]?.from ?? 0
  return [
    ...(settleSeconds === 0 ? [] : [{ from: first, to: first, seconds: settleSeconds }]),
    ...parts.map((part) => ({ ...part, seconds: part.seconds ?? (seconds - told) / open })),
  ]
}
