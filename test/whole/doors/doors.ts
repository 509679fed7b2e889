// One node, all the proxies that ask it, and the doors for programs.
import { setTimeout } from 'node:timers/promises'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { Client, credentials, status as grpcStatus } from '@grpc/grpc-js'
import { httpStatusOf } from '../../../src/kernel/status.ts'
import { CheckRequestSchema, CheckResponseSchema } from '../../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { type Intermix, startIntermix } from '../intermix.ts'
import { startCaddy } from '../../helpers/caddy.ts'
import { ENVOY_WASM, startEnvoy } from '../../helpers/envoy.ts'
import { startHaproxy } from '../../helpers/haproxy.ts'
import { startNginx } from '../../helpers/nginx.ts'
import { findTool, type Tool } from '../../helpers/tools.ts'
import { compress } from '../../wire/mixer/compress.ts'
import type { Described } from './attributes.ts'
import { batchDoor } from './batch-door.ts'
import { type EchoUpstream, startEchoUpstream } from './echo-upstream.ts'
import { askOverHttp, leavePathsAlone } from './envoys.ts'
import { sendHttp2 } from './http2-client.ts'
import { type Message, NUMBER_HEADER } from './message.ts'
import { writeDoorsPolicy } from './policy.ts'
import { send } from './raw-client.ts'

/** What became of a request: its status for the client, and what the upstream got, if it got anything. */
export interface Passage {
  readonly status: number
  readonly delivered: Message | undefined
}

export interface Proxy {
  readonly name: string
  /** Keeps answers itself; the proxy of this name, which keeps none, has to pass and refuse the same. */
  readonly likeness?: string | undefined
  pass(message: Message): Promise<Passage>
  /** Value of one of its statistics; 0 where it has none of that name. */
  stat(name: string): Promise<number>
}

export const PROGRAM_DOORS = ['json', 'mixer', 'batch'] as const
type ProgramDoor = (typeof PROGRAM_DOORS)[number]

export interface Doors {
  readonly proxies: readonly Proxy[]
  /** The verdicts at the doors for programs, as HTTP statuses: 200 passes, 400 is refused. */
  readonly programs: Readonly<Record<ProgramDoor, (described: Described) => Promise<number>>>
  /** Where the node takes what operators ask. */
  readonly adminUrl: string
  stop(): Promise<void>
}

interface Place {
  readonly binary: string
  readonly grpcPort: number
  readonly httpPort: number
  readonly upstreamPort: number
}

interface Running {
  readonly url: string
  stat?(name: string): Promise<number>
  stop(): Promise<void>
}

interface Kind {
  readonly name: string
  readonly tool: Tool
  /** How requests are sent; as HTTP/1 unless told. */
  readonly send?: typeof send
  readonly likeness?: string
  start(place: Place): Promise<Running>
}

const forwardAuth = ({ binary, httpPort, upstreamPort }: Place) => ({ binary, nodePort: httpPort, upstreamPort })

const KINDS: readonly Kind[] = [
  { name: 'nginx', tool: 'nginx', start: (place) => startNginx(forwardAuth(place)) },
  { name: 'Caddy', tool: 'caddy', start: (place) => startCaddy(forwardAuth(place)) },
  { name: 'HAProxy', tool: 'haproxy', start: (place) => startHaproxy(forwardAuth(place)) },
  {
    name: 'Envoy as shipped',
    tool: 'envoy',
    start: ({ grpcPort, ...place }) => startEnvoy({ ...place, nodePorts: [grpcPort] }),
  },
  {
    name: 'Envoy over gRPC',
    tool: 'envoy',
    start: ({ grpcPort, ...place }) => startEnvoy({ ...place, nodePorts: [grpcPort], adapt: leavePathsAlone }),
  },
  {
    name: 'Envoy, by HTTP/2',
    tool: 'envoy',
    send: sendHttp2,
    start: ({ grpcPort, ...place }) => startEnvoy({ ...place, nodePorts: [grpcPort], adapt: leavePathsAlone }),
  },
  {
    name: 'Envoy with the filter in it',
    tool: 'envoy',
    likeness: 'Envoy over gRPC',
    start: ({ grpcPort, ...place }) =>
      startEnvoy({ ...place, path: ENVOY_WASM, nodePorts: [grpcPort], adapt: leavePathsAlone }),
  },
  {
    name: 'Envoy with the filter in it, by HTTP/2',
    tool: 'envoy',
    likeness: 'Envoy, by HTTP/2',
    send: sendHttp2,
    start: ({ grpcPort, ...place }) =>
      startEnvoy({ ...place, path: ENVOY_WASM, nodePorts: [grpcPort], adapt: leavePathsAlone }),
  },
  {
    name: 'Envoy over HTTP',
    tool: 'envoy',
    start: ({ httpPort, ...place }) =>
      startEnvoy({
        ...place,
        nodePorts: [httpPort],
        adapt(bootstrap) {
          leavePathsAlone(bootstrap)
          askOverHttp(bootstrap)
        },
      }),
  },
]

/** The programs that this machine lacks. */
export function missingTools(): readonly Tool[] {
  return [...new Set(KINDS.map(({ tool }) => tool))].filter((tool) => findTool(tool) === undefined)
}

interface DoorsOptions {
  /** Folder of the config; that of the differential unless told. */
  readonly config?: string
  /** Further flags of the node. */
  readonly flags?: readonly string[]
}

/** Starts everything; a proxy whose program is not here is left out. */
export async function startDoors(options: DoorsOptions = {}): Promise<Doors> {
  const ends: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  }
  try {
    const policy = await writeDoorsPolicy()
    ends.push(() => policy.remove())
    const upstream = await startEchoUpstream()
    ends.push(() => upstream.close())
    const common = ['--redis', 'none', '--check-timeout', '5s', '--trust-forwarded', '127.0.0.1/32']
    const flags = [...common, ...(options.flags ?? [])]
    const config = options.config ?? policy.directory
    const node = await startIntermix({ role: 'node', config, nodeId: 'doors', flags })
    ends.push(() => node.child.stop())
    const { grpcPort, httpPort } = node
    const proxies: Proxy[] = []
    for (const kind of KINDS) {
      const binary = findTool(kind.tool)
      if (binary === undefined) continue
      const proxy = await kind.start({ binary, grpcPort, httpPort, upstreamPort: upstream.port })
      ends.push(() => proxy.stop())
      proxies.push(proxyOf(kind, proxy, upstream))
    }
    const mixer = mixerDoor(node)
    ends.push(async () => mixer.close())
    const inTime = (ask: (described: Described) => Promise<number>) => (described: Described) =>
      untilInTime(
        () => ask(described),
        (status) => status,
      )
    const batch = batchDoor(grpcPort)
    ends.push(async () => batch.close())
    const programs = {
      json: inTime((described) => askJson(node, described)),
      mixer: inTime(mixer.ask),
      batch: inTime(batch.ask),
    }
    return { proxies, programs, adminUrl: node.adminUrl, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** What is said where a check took too long, or the node sheds it: a machine may be busy, but not always. */
const LATE: ReadonlySet<number> = new Set([500, 503, 504])
const RETRIES = 20
const PAUSE_MS = 100

async function untilInTime<T>(ask: () => Promise<T>, statusOf: (answer: T) => number): Promise<T> {
  let answer = await ask()
  for (let left = RETRIES; left > 0 && LATE.has(statusOf(answer)); left--) {
    await setTimeout(PAUSE_MS)
    answer = await ask()
  }
  return answer
}

function proxyOf({ name, likeness, send: transmit = send }: Kind, running: Running, upstream: EchoUpstream): Proxy {
  const port = Number(new URL(running.url).port)
  let passed = 0
  const once = async (message: Message): Promise<Passage> => {
    const number = `${port}-${passed++}`
    const status = await transmit(port, { ...message, headers: [...message.headers, [NUMBER_HEADER, number]] })
    return { status, delivered: upstream.take(number) }
  }
  return {
    name,
    likeness,
    stat: async (counter) => (await running.stat?.(counter)) ?? 0,
    async pass(message) {
      return await untilInTime(
        () => once(message),
        ({ status }) => status,
      )
    },
  }
}

async function askJson({ httpPort }: Intermix, { scalars, headers, query }: Described): Promise<number> {
  const attributes = { ...scalars, 'request.headers': headers, ...(query && { 'request.query_params': query }) }
  const answer = await fetch(`http://127.0.0.1:${httpPort}/v1/check`, {
    method: 'POST',
    body: JSON.stringify({ attributes }),
  })
  const body = (await answer.json()) as { status?: { code: number } }
  return body.status === undefined ? answer.status : httpStatusOf(body.status.code)
}

function mixerDoor({ grpcPort }: Intermix) {
  const client = new Client(`127.0.0.1:${grpcPort}`, credentials.createInsecure())
  const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes)
  const ask = ({ scalars, headers, query }: Described): Promise<number> => {
    const attributes = compress({
      ...scalars,
      'request.headers': new Map(Object.entries(headers)),
      ...(query && { 'request.query_params': new Map(Object.entries(query)) }),
    })
    const request = toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes, globalWordCount: 222 }))
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        '/istio.mixer.v1.Mixer/Check',
        asBuffer,
        (bytes: Buffer) => fromBinary(CheckResponseSchema, bytes),
        request,
        {},
        (error, response) => {
          if (error?.code === grpcStatus.INVALID_ARGUMENT) resolve(400)
          else if (error?.code === grpcStatus.UNAVAILABLE) resolve(503)
          else if (error?.code === grpcStatus.DEADLINE_EXCEEDED) resolve(504)
          else if (response === undefined) reject(error ?? new Error('no response'))
          else resolve(httpStatusOf(response.precondition?.status?.code ?? 0))
        },
      )
    })
  }
  return { ask, close: () => client.close() }
}
