// What a check costs at each gRPC door when it is answered from the node's own cache, without any transport: bytes in,
// bytes out, in processor time. The quickstart's rules. `node test/bench/doors.ts [rounds] [door]`

import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { grpcServices } from '../../src/server/grpc-doors.ts'
import { GrpcFailure, type GrpcStreamHandler } from '../../src/server/grpc-service.ts'
import { AnswerBatches } from '../../src/wire/batch/answer-batch.ts'
import { CheckBatchWriter } from '../../src/wire/batch/check-batch-writer.ts'
import { benchNode } from './bench-node.ts'
import { envoyRequest, mixerRequest, REQUEST } from './sample-requests.ts'

const BATCH = 20_000
const [rounds = '12', only = ''] = process.argv.slice(2)

const node = await benchNode()
const services = grpcServices(node.given)

const call = { deadline: Number.POSITIVE_INFINITY, peer: '127.0.0.1:1' }

interface Door {
  readonly name: string
  /** Checks that one call asks. */
  readonly checks?: number
  ask(): unknown
}

function unary(name: string, path: string, bytes: Uint8Array): Door {
  const method = services.flatMap(({ methods }) => methods).find((each) => each.path === path)
  if (method?.kind !== 'unary') throw new Error(`no ${path}`)
  return { name: `${name} (${bytes.length} bytes)`, ask: () => method.answer(bytes, call) }
}

/** What is left when there is no protocol: the same request as a bag of values. */
function policyAlone(): Door {
  const bag = MapBag.of(REQUEST)
  return { name: 'policy alone', ask: () => node.check.check(bag, { timeoutMs: 1_000, references: false }) }
}

/** A message that is sent when the connection has all the words: the third of its kind. */
function batches(checks: number): Door {
  const method = services.flatMap(({ methods }) => methods).find(({ path }) => path.startsWith('/intermix.v1.'))
  if (method?.kind !== 'stream') throw new Error('no door for batches')
  const answers = new AnswerBatches()
  const sink = {
    answered: () => {},
    failed: (_: number, { message }: { readonly message: string }) => {
      throw new Error(message)
    },
    leaving: () => {},
  }
  let isRead = true
  const write = (message: Uint8Array) => {
    if (isRead) answers.read(message, sink)
    return true
  }
  const end = (failure?: GrpcFailure) => {
    throw new Error(failure?.details ?? 'the stream has ended')
  }
  const stream = { ...call, write, end, pause: () => {}, resume: () => {} }
  const handler: GrpcStreamHandler = method.open(stream)
  const writer = new CheckBatchWriter()
  const bag = MapBag.of(REQUEST)
  let message: Uint8Array = Buffer.alloc(0)
  for (let time = 0; time < 3; time++) {
    for (let id = 0; id < checks; id++) writer.add(id, 1_000, bag)
    message = writer.take()
    handler.message(message)
  }
  isRead = false
  const name = `batches of ${checks} (${Math.round(message.length / checks)} bytes a check)`
  return { name, checks, ask: () => handler.message(message) }
}

const doors = [
  policyAlone(),
  unary('Mixer Check', '/istio.mixer.v1.Mixer/Check', mixerRequest()),
  unary('ext_authz', '/envoy.service.auth.v3.Authorization/Check', envoyRequest()),
  batches(1),
  batches(100),
].filter(({ name }) => name.startsWith(only))
const micros = doors.map((): number[] => [])
for (let round = -2; round < Number(rounds); round++) {
  for (const [index, door] of doors.entries()) {
    const before = process.cpuUsage()
    for (let i = 0; i < BATCH; i += door.checks ?? 1) {
      const reply = door.ask()
      if (reply instanceof GrpcFailure) throw new Error(`${door.name}: ${reply.details}`)
      if (reply instanceof Promise || door.checks !== undefined) await reply
    }
    const { user, system } = process.cpuUsage(before)
    if (round >= 0) micros[index]?.push((user + system) / BATCH)
    await new Promise(setImmediate)
  }
}
for (const [index, { name }] of doors.entries()) {
  const sorted = micros[index]?.toSorted((a, b) => a - b) ?? []
  const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(2)
  console.log(`${name}: ${at(0.5)} µs of processor time a check (fastest round ${at(0)}, slowest ${at(1)})`)
}
await node.stop()
