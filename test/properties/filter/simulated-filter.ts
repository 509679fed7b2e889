// A filter of the simulation: the module in an Envoy with one worker, before all nodes, with what it was told of them.

import { HeardRevocations } from '../../../src/client/nodes/heard-revocations.ts'
import type { GrpcService } from '../../../src/server/grpc-service.ts'
import type { Epoch } from '../../../src/kernel/revocation.ts'
import { AnswerBatches, type ToldAnswer } from '../../../src/wire/batch/answer-batch.ts'
import type { FakeClock } from '../../helpers/clock.ts'
import { type EnvoyRequest, filterRequest } from '../../helpers/envoy-request.ts'
import { FilterHost } from '../../helpers/proxy-wasm/filter-host.ts'
import type { FilteredRequest } from '../../helpers/proxy-wasm/filtered-request.ts'
import { NodeCluster } from '../../helpers/proxy-wasm/node-cluster.ts'
import type { CheckedModule } from '../../helpers/proxy-wasm/vm.ts'
import type { Picker } from '../random.ts'
import { callsSeen, linesTold, type Seen, UPSTREAM } from './seen.ts'

/** How long a message is on its way, in ms. */
const WAYS_MS = [0, 0, 0, 0, 1, 20] as const

export interface SimulatedFilterOptions {
  readonly module: CheckedModule
  readonly clock: FakeClock
  readonly pick: Picker
  /** Who answers it: nodes, or sidecars before them. */
  readonly doors: readonly GrpcService[]
  readonly settings: object
  /** Each answer of a node that arrives. */
  readonly onTold: (told: ToldAnswer) => void
}

/** What came of a request. */
export interface Outcome {
  readonly seen: Seen
  readonly calls: ReadonlySet<string>
  readonly tier: string
  readonly ageMs: number
  readonly answeredAt: number
  /** The node whose message made it so; `undefined` where none did. */
  readonly by: number | undefined
  /** What the filter knew then. */
  readonly config: string | undefined
  readonly known: Epoch | undefined
}

export class SimulatedFilter {
  readonly cluster: NodeCluster
  readonly host: FilterHost
  readonly #options: SimulatedFilterOptions
  readonly #revocations: HeardRevocations
  /** Streams so far: what is believed is what the latest one has told. */
  #opened = 0
  #config: string | undefined
  #known: Epoch | undefined
  #delivering: number | undefined
  /** When something was heard last that answers the filter. */
  heardAt = 0

  constructor(options: SimulatedFilterOptions) {
    const { clock, pick, doors, module, settings } = options
    this.#options = options
    this.#revocations = new HeardRevocations(clock)
    this.cluster = new NodeCluster({
      clock,
      nodes: doors.map((door) => () => [door]),
      takesMs: () => pick.of(WAYS_MS),
      watch: (node) => this.#watch(node),
    })
    const configuration = JSON.stringify({
      cluster: 'nodes',
      source_address: 'downstream',
      provenance: 'all',
      ...settings,
    })
    const clusters = new Map([['nodes', this.cluster]])
    this.host = new FilterHost({ module, clock, clusters, configuration, random: () => pick.random() })
  }

  /** Asks about a request; what came of it, or comes of it later. */
  ask(request: EnvoyRequest, onOutcome: (outcome: Outcome) => void): FilteredRequest {
    let isTold = false
    const tell = (of: FilteredRequest) => {
      if (isTold || !isSettled(of)) return
      isTold = true
      onOutcome(this.#outcome(of))
    }
    // What the module does to a request it does before the request is told to go on: its outcome is then complete.
    const filtered = this.host.request(filterRequest(request), tell)
    tell(filtered)
    return filtered
  }

  #outcome(request: FilteredRequest): Outcome {
    const tier = request.filterState.get('intermix.tier')?.toString() ?? 'untold'
    const ageMs = Number(request.filterState.get('intermix.age_ms')?.toString() ?? '0')
    const by = this.#delivering
    const goesOn = request.state === 'continued'
    const passed = request.headers
    const response = goesOn ? request.respond(UPSTREAM) : (request.localReply?.headers ?? [])
    const seen = {
      status: goesOn ? 0 : (request.localReply?.status ?? -1),
      body: request.localReply?.body ?? '',
      request: goesOn ? linesTold(passed) : [],
      response: linesTold(response),
    }
    return {
      seen,
      calls: callsSeen(seen, [...passed, ...response]),
      tier,
      ageMs,
      answeredAt: this.#options.clock.monotonic(),
      by,
      config: this.#config,
      known: this.#known,
    }
  }

  /** Reads along what a node tells over a stream. */
  #watch(node: number) {
    const { clock, onTold } = this.#options
    const batches = new AnswerBatches()
    const teller = this.#revocations.teller()
    const stream = ++this.#opened
    return {
      message: (bytes: Uint8Array, deliver: (bytes: Uint8Array) => void) => {
        batches.read(bytes, {
          answered: (_, told) => onTold(told),
          failed: () => undefined,
          leaving: () => undefined,
          news: (news) => {
            if (stream !== this.#opened) return
            if (news.config !== undefined) this.#config = news.config.id
            teller.take(news, clock.monotonic())
            this.#known = teller.heard().epoch
            if (news.ask !== 0) this.heardAt = Math.max(this.heardAt, clock.monotonic() - news.outOfTouchMs)
          },
        })
        this.#delivering = node
        deliver(bytes)
        this.#delivering = undefined
      },
      over: () => teller.lost(),
    }
  }
}

const isSettled = ({ state }: FilteredRequest) => state === 'continued' || state === 'replied'
