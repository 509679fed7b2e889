// Both ends of a batch stream without a connection between them.
import type { Status } from '../../src/kernel/status.ts'
import type { Answer } from '../../src/kernel/verdict.ts'
import type { GrpcService } from '../../src/server/grpc-service.ts'
import { AnswerBatches, type ToldAnswer } from '../../src/wire/batch/answer-batch.ts'
import { CheckBatchWriter } from '../../src/wire/batch/check-batch-writer.ts'

/** The asking end of a stream, as a sidecar would keep it. */
export class Asking {
  readonly writer = new CheckBatchWriter()
  readonly answers = new Map<number, Answer>()
  readonly told = new Map<number, ToldAnswer>()
  readonly failures = new Map<number, Status>()
  readonly order: number[] = []
  left = 0
  readonly #answers = new AnswerBatches()

  read(message: Uint8Array): void {
    this.#answers.read(message, {
      answered: (id, told) => {
        this.answers.set(id, told.answer)
        this.told.set(id, told)
        this.order.push(id)
      },
      failed: (id, status) => {
        this.failures.set(id, status)
        this.order.push(id)
      },
      leaving: () => void this.left++,
    })
  }
}

/** The host's side: what was written, and whether it is read on. */
class Host {
  readonly deadline = Number.POSITIVE_INFINITY
  readonly peer = '127.0.0.1:1'
  readonly asking = new Asking()
  paused = false
  ended = false
  takes = true
  write(message: Uint8Array): boolean {
    this.asking.read(message)
    return this.takes
  }
  end(): void {
    this.ended = true
  }
  pause(): void {
    this.paused = true
  }
  resume(): void {
    this.paused = false
  }
}

/** Opens a stream at a service that has nothing else. */
export function openOn({ methods: [method] }: GrpcService) {
  if (method?.kind !== 'stream') throw new Error('no stream')
  const host = new Host()
  return { host, handler: method.open(host) }
}
