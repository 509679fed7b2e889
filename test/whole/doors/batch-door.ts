// The door for batches, asked as a sidecar asks it: all checks of a run over one stream, each word sent once or twice.
import { Client, credentials } from '@grpc/grpc-js'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { httpStatusOf, type Status } from '../../../src/kernel/status.ts'
import { AnswerBatches, type ToldAnswer } from '../../../src/wire/batch/answer-batch.ts'
import { CheckBatchWriter } from '../../../src/wire/batch/check-batch-writer.ts'
import type { Described } from './attributes.ts'

/** Answers come in any order; all checks of one turn of the loop go in one batch. */
export function batchDoor(grpcPort: number) {
  const client = new Client(`127.0.0.1:${grpcPort}`, credentials.createInsecure())
  const bytes = (message: Buffer) => message
  const stream = client.makeBidiStreamRequest('/intermix.v1.Batches/Check', bytes, bytes)
  const waiting = new Map<number, ReturnType<typeof Promise.withResolvers<number>>>()
  const settle = (id: number, { code }: Status) => {
    waiting.get(id)?.resolve(httpStatusOf(code))
    waiting.delete(id)
  }
  const answers = new AnswerBatches()
  const sink = {
    answered: (id: number, { answer }: ToldAnswer) => settle(id, answer.status),
    failed: settle,
    leaving() {},
  }
  stream.on('data', (message: Buffer) => answers.read(message, sink))
  stream.on('error', (error) => {
    for (const each of waiting.values()) each.reject(error)
    waiting.clear()
  })
  const writer = new CheckBatchWriter()
  let asked = 0
  const ask = ({ scalars, headers, query }: Described): Promise<number> => {
    const id = asked++
    const answer = Promise.withResolvers<number>()
    waiting.set(id, answer)
    if (writer.count === 0) setImmediate(() => stream.write(writer.take()))
    const maps = { 'request.headers': headers, ...(query && { 'request.query_params': query }) }
    const entries = Object.entries(maps).map(([name, map]) => [name, new Map(Object.entries(map))])
    writer.add(
      id,
      5_000,
      MapBag.of({ ...scalars, ...(Object.fromEntries(entries) as Record<string, Map<string, string>>) }),
    )
    return answer.promise
  }
  return { ask, close: () => client.close() }
}
