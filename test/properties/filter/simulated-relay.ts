// A sidecar of the simulation that filters ask: its door before all nodes, and what it had heard of them when it told so.

import { RetoldRevocations } from '../../../src/client/nodes/retold-revocations.ts'
import type { Epoch } from '../../../src/kernel/revocation.ts'
import { batchService } from '../../../src/server/batch-stream.ts'
import type { GrpcService } from '../../../src/server/grpc-service.ts'
import { RetoldNews } from '../../../src/sidecar/retold-news.ts'
import { KeptLog, ReadableMeter } from '../../redis/support.ts'
import type { SimulatedNodes, SimulatedNodesOptions } from '../simulated-nodes.ts'
import { SimulatedSidecar } from '../simulated-sidecar.ts'

export class SimulatedRelay {
  readonly door: GrpcService
  readonly #sidecar: SimulatedSidecar
  readonly #retold: RetoldRevocations
  /** What was known of the nodes' revocations, by the number under which it was told on. */
  readonly #known = new Map<number, Epoch | undefined>()

  constructor(given: Omit<SimulatedNodesOptions, 'witness'>) {
    const { clock, name } = given
    const retold = new RetoldRevocations(clock, name)
    this.#retold = retold
    const news = new RetoldNews({ clock, retold, nodes: () => this.nodes })
    let isMade = false
    // Some come while it is made.
    const onNews = () => {
      if (!isMade) return
      this.#known.set(retold.revocations.epoch.sequence, this.nodes.known)
      news.changed()
    }
    const witness = { asked: () => () => undefined }
    this.#sidecar = new SimulatedSidecar({ ...given, witness, retelling: retold, onNews }, retold)
    isMade = true
    onNews()
    this.door = batchService({
      check: this.#sidecar.service,
      quotas: this.#sidecar.service,
      news,
      clock,
      log: new KeptLog(),
      meter: new ReadableMeter(),
      defaultTimeoutMs: 10_000,
      report: { accept: () => undefined },
      random: () => 0.5,
      nextBatchId: () => `${name}-1`,
      admission: { checksPerSecond: () => 0, door: () => ({ admit: () => undefined, end: () => undefined }) },
    })
  }

  get nodes(): SimulatedNodes {
    return this.#sidecar.nodes
  }

  /** What was known of the nodes' revocations when this was told. */
  known(told: Epoch | undefined): Epoch | undefined {
    return told?.generation === this.#retold.revocations.epoch.generation ? this.#known.get(told.sequence) : undefined
  }

  /** @throws WrongAnswer where it has read a request in another way than a node */
  expectSameReadings(): void {
    this.#sidecar.expectSameReadings()
  }
}
