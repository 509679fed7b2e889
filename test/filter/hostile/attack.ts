// A filter whose nodes deny everything, behind somebody who sends it whatever he likes: nothing may trap, wait, grow, or let a
// request through that nobody has allowed.

import type { AttributeBag } from '../../../src/kernel/attribute-bag.ts'
import type { ValueType } from '../../../src/kernel/value.ts'
import { hostileBytes } from '../../fuzz/mutate.ts'
import { type EnvoyRequest, filterRequest } from '../../helpers/envoy-request.ts'
import type { FilteredRequest } from '../../helpers/proxy-wasm/filtered-request.ts'
import type { CheckedModule } from '../../helpers/proxy-wasm/vm.ts'
import { derivedBag } from '../../properties/filter/derived-bag.ts'
import { type Picker, seededPicker } from '../../properties/random.ts'
import { ASK, ATTRIBUTES, FilterBench } from '../filter-bench.ts'
import { Allowed, ReadByNobody } from './allowed.ts'
import { HostileAnswers } from './hostile-answers.ts'
import { HostileCluster } from './hostile-cluster.ts'

const STEPS = 40
const TIMEOUT_MS = 100
/** Deadlines are held at ticks. */
const TICK_MS = 20
const MAX_MESSAGES = 40
const VOCABULARY = new Map<string, ValueType>(Object.entries(ATTRIBUTES))
const DENY = { status: { code: 7, message: 'no' } }

export interface AttackReport {
  readonly requests: number
  readonly allowed: number
  readonly denied: number
  /** Messages that a sidecar refuses and the filter reads: the rest of the run was not judged. */
  readonly unjudged: string | undefined
  readonly memory: number
  readonly streams: number
  /** The longest time that a message took, in ms. */
  readonly worstMs: number
}

interface Asked {
  readonly request: FilteredRequest
  readonly bag: AttributeBag
  readonly at: number
}

/** @throws Error that says what was wrong */
export async function attack(module: CheckedModule, seed: number): Promise<AttackReport> {
  return await new Attack(module, seededPicker(seed)).run()
}

class Attack {
  readonly #module: CheckedModule
  readonly #pick: Picker
  readonly #hostile: HostileAnswers
  readonly #bags: AttributeBag[] = []
  readonly #allowed = new Allowed((check) => this.#bags[numberIn(check)])
  readonly #seen: Buffer[] = []
  readonly #open = new Set<Asked>()
  #requests = 0
  #let = 0
  #refused = 0
  #worstMs = 0
  #bench: FilterBench | undefined
  #cluster: HostileCluster | undefined

  constructor(module: CheckedModule, pick: Picker) {
    this.#module = module
    this.#pick = pick
    this.#hostile = new HostileAnswers(pick)
  }

  async run(): Promise<AttackReport> {
    const pick = this.#pick
    const bench = await FilterBench.start({
      module: this.#module,
      nodes: 2,
      value: pick.of(['request.path', 'request.host + request.path']),
      rules: { all: ASK, some: { ...ASK, match: 'request.path.startsWith("/1")' } },
      settings: { timeout_ms: TIMEOUT_MS, max_entries: 100, max_bytes: 1_048_576, fail_policy: 'closed' },
      between: (inner, clock) => {
        this.#cluster = new HostileCluster(inner, clock, this.#allowed)
        return this.#cluster
      },
    })
    bench.say = () => DENY
    this.#bench = bench
    const cluster = this.#cluster as unknown as HostileCluster
    const mutated = pick.of([0, 0, 0.1, 0.5])
    const lost = pick.of([0, 0, 0.2])
    const late = pick.of([0, 40, 80, 300])
    cluster.tamper = (message) => {
      if (this.#seen.length < 30) this.#seen.push(message)
      if (pick.chance(lost)) return []
      const afterMs = late === 0 ? 0 : pick.int(late)
      const bytes = pick.chance(mutated) ? hostileBytes([message, ...this.#seen], () => pick.random()) : message
      return [{ bytes, afterMs }, ...(pick.chance(0.05) ? [{ bytes, afterMs }] : [])]
    }
    let unjudged: string | undefined
    try {
      for (let i = 0; i < STEPS; i++) await this.#step(cluster, i)
      await bench.clock.advance(TIMEOUT_MS + TICK_MS)
      this.#conclude()
    } catch (caught) {
      if (!(caught instanceof ReadByNobody)) throw caught
      unjudged = caught.message
    }
    if (unjudged === undefined) await this.#heal(cluster)
    const memory = bench.host.memorySize
    bench.host.stop()
    return {
      requests: this.#requests,
      allowed: this.#let,
      denied: this.#refused,
      unjudged,
      memory,
      streams: cluster.opened,
      worstMs: this.#worstMs,
    }
  }

  async #step(cluster: HostileCluster, step: number): Promise<void> {
    const pick = this.#pick
    const bench = this.#bench as FilterBench
    // Whoever has sent what cannot be read is not asked again at once.
    if (cluster.streams.length === 0) await bench.clock.advance(1_000)
    for (let i = pick.int(4); i > 0; i--) this.#ask()
    const streams = cluster.streams
    const stream = streams[pick.int(streams.length)] ?? 0
    const kind = pick.int(10)
    const bytes =
      kind < 6
        ? this.#hostile.next(this.#allowed.ids)
        : hostileBytes([...this.#seen, this.#hostile.next(this.#allowed.ids)], () => pick.random())
    const flood = pick.chance(0.02) ? MAX_MESSAGES : 1
    const begunAt = performance.now()
    if (kind < 8) for (let i = flood; i > 0; i--) cluster.send(stream, bytes)
    else if (kind === 8) cluster.close(stream, pick.of([0, 1, 2, 5, 7, 8, 13, 14, 16, 99]))
    this.#worstMs = Math.max(this.#worstMs, (performance.now() - begunAt) / flood)
    await bench.clock.advance(pick.of([0, 0, 1, 20, 60, 300, step % 20 === 0 ? 3_000 : 100]))
    this.#conclude()
  }

  #ask(): void {
    const pick = this.#pick
    const bench = this.#bench as FilterBench
    const request: EnvoyRequest = {
      headers: [
        [':method', pick.of(['GET', 'POST'])],
        [':path', pick.of(['/0', '/1', '/0?a=b', '/2', '/%61'])],
        [':authority', pick.of(['a', 'a', 'b', 'host:81'])],
        [':scheme', 'http'],
        ...(pick.chance(0.5) ? [['x-a', pick.of(['', 'a', 'b'])] as const] : []),
        ['x-n', String(this.#bags.length)],
      ],
      source: pick.of(['10.0.0.1:5', '[::1]:6']),
    }
    const bag = derivedBag(request, VOCABULARY, bench.clock.now(), false)
    if (bag === undefined) throw new Error('a node would refuse the request')
    this.#bags.push(bag)
    this.#requests++
    this.#open.add({ request: bench.host.request(filterRequest(request)), bag, at: bench.clock.monotonic() })
  }

  /** Looks at what came of requests. */
  #conclude(): void {
    const bench = this.#bench as FilterBench
    const { host, clock } = bench
    if (host.failures > 0)
      throw new Error(`the module trapped: ${host.logs.at(-2)?.message} ${host.logs.at(-1)?.message}`)
    for (const asked of this.#open) {
      const { request, bag, at } = asked
      if (request.state === 'waiting') {
        const waited = clock.monotonic() - at
        if (waited > TIMEOUT_MS + 2 * TICK_MS) throw new Error(`a request waits for ${waited} ms`)
        continue
      }
      this.#open.delete(asked)
      if (request.state === 'continued') {
        this.#let++
        if (!this.#allowed.has(bag)) {
          this.#allowed.expectNoneUnread()
          throw new Error(`nobody has let through ${JSON.stringify(request.headers)}`)
        }
        request.respond([[':status', '200']])
      } else this.#refused++
      request.finish()
    }
  }

  /** Whatever was, nodes that are heard again are asked. */
  async #heal(cluster: HostileCluster): Promise<void> {
    const { clock, host } = this.#bench as FilterBench
    cluster.tamper = (bytes) => [{ bytes, afterMs: 0 }]
    for (const stream of cluster.streams) cluster.close(stream, 0)
    await clock.advance(3_000)
    this.#ask()
    await clock.advance(TIMEOUT_MS + TICK_MS)
    for (const { request } of this.#open)
      if (request.localReply?.details === 'intermix_not_judged') throw new Error('nodes are not asked any more')
    this.#conclude()
    if (host.openContexts > 0) throw new Error(`${host.openContexts} requests are not forgotten`)
  }
}

/** The value of the header by which a check is known here. */
function numberIn(check: Buffer): number {
  // Behind its name come the tag and the size of its value.
  const [, found] = /x-n[^0-9a-z].(\d+)/s.exec(check.toString('latin1')) ?? []
  return Number(found)
}
