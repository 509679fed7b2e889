// A sidecar of the simulation: the first-level cache before all nodes.

import { FirstLevelCheck, type FirstLevelCheckOptions } from '../../src/client/first-level-check.ts'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { CheckOptions, CheckOutcome } from '../../src/kernel/services.ts'
import { ReadableMeter } from '../redis/support.ts'
import { WrongAnswer } from './judge.ts'
import { SimulatedNodes, type SimulatedNodesOptions } from './simulated-nodes.ts'
import { ATTRIBUTES, TRACE, type AttributeType } from './vocabulary.ts'

export interface Told {
  /** `undefined` where no node could be asked, and nothing was kept. */
  readonly outcome: CheckOutcome | undefined
  /** The node that gave it; `undefined` where the sidecar had it. */
  readonly by: number | undefined
  /** The config by which the sidecar looked for one. */
  readonly config: string
}

export type Asked = Pick<CheckOptions, 'charging' | 'deduplicationId' | 'quotas' | 'keepsAnswer' | 'references'>

export class SimulatedSidecar {
  readonly nodes: SimulatedNodes
  readonly #check: FirstLevelCheck
  readonly #meter = new ReadableMeter()

  /** @param retold as callers are told revocations that keep its answers by their shape */
  constructor(options: SimulatedNodesOptions, retold?: FirstLevelCheckOptions['retold']) {
    const { clock, pick } = options
    this.nodes = new SimulatedNodes(options)
    this.#check = new FirstLevelCheck({
      nodes: this.nodes,
      revocations: this.nodes.revocations,
      clock,
      random: () => pick.random(),
      meter: this.#meter,
      maxEntries: 200,
      maxBytes: 1_000_000,
      choice: { affinity: [{ name: 'source.principal', key: undefined }], tenant: undefined },
      refreshesPerSecond: 5,
      retold,
    })
  }

  /** What doors ask. */
  get service(): FirstLevelCheck {
    return this.#check
  }

  /** Asks about a request; the node that is asked first is `nodes.home`. */
  check(id: string, bag: AttributeBag, asked: Asked): Told | Promise<Told> {
    const { nodes } = this
    const config = nodes.config()?.id ?? ''
    const { cuts } = nodes
    const outcome = this.#check.check(bag, { timeoutMs: 10_000, ...asked })
    const told = (given: CheckOutcome | undefined): Told => {
      this.expectSameReadings()
      return { outcome: given, by: nodes.takeAnsweredBy(id), config }
    }
    if (!(outcome instanceof Promise)) return told(outcome)
    return outcome.then(told, (caught: unknown) => {
      const isExpected = IntermixError.from(caught).retryable && (nodes.isAnyCut || nodes.cuts > cuts)
      if (!isExpected) throw caught
      return told(undefined)
    })
  }

  /** Gives back what was paid for. */
  close(): void {
    void this.#check.close()
  }

  /** @throws WrongAnswer */
  expectSameReadings(): void {
    if (this.#meter.value('first_level_not_kept_total', 'mismatch') > 0)
      throw new WrongAnswer('a question has another answer at the sidecar')
  }
}

const TYPES = new Map<string, AttributeType>([
  ...ATTRIBUTES.map(({ name, type }) => [name, type] as const),
  [TRACE, 'STRING'],
])

/**
 * The request by a name of its own, under which is noted what is charged for it, and without what has another type than
 * declared: the batch stream refuses that.
 */
export function wellTyped(bag: AttributeBag, id: string): AttributeBag {
  const values = Array.from(bag.names(), (name) => [name, bag.get(name)] as const)
  const typed = values.filter(([name, value]) => isOfType(TYPES.get(name), value))
  return new MapBag(new Map([...typed, [TRACE, id]]) as ConstructorParameters<typeof MapBag>[0])
}

function isOfType(type: AttributeType | undefined, value: unknown): boolean {
  if (type === 'STRING') return typeof value === 'string'
  if (type === 'STRING_MAP') return value instanceof Map
  return true
}
