// Real nodes that follow the rollouts of a real Redis, under load, with whatever starts them again when they end.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Code } from '../../../src/kernel/status.ts'
import { Observations } from '../../../src/rollout/observations.ts'
import { RolloutStore } from '../../../src/rollout/rollout-store.ts'
import { type Pace, USUAL_PACE } from '../../../src/rollout/stages.ts'
import type { Outcome } from '../../../src/rollout/state.ts'
import { type ConfigFile, shortId, versionId } from '../../../src/rollout/version.ts'
import { VersionStore } from '../../../src/rollout/version-store.ts'
import { startRedis } from '../../helpers/redis.ts'
import { testLink, until, untilUp } from '../../redis/support.ts'
import { type Intermix, startIntermix } from '../intermix.ts'

/** Stages that end as soon as enough was seen. */
const QUICK: Pace = { ...USUAL_PACE, shadowMs: 1_000, stageMs: 1_500, bakeMs: 1_500, pairs: 50, checks: 50 }
const PREFIX = 'intermix'
/** Of all requests. */
export const NAMESPACE = 'shop'
const PAUSE_MS = 5
/** A pre-flight may take a minute of a processor that others have, too. */
const LONGEST_MS = 300_000
/** What is answered where policy has come to no verdict. */
const NO_VERDICT = new Set<number>([Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNAVAILABLE])

export interface MeshOptions {
  readonly nodes: number
  /** They follow, and are asked for nothing. */
  readonly workers?: number
  /** Further flags of the nodes. */
  readonly flags?: readonly string[]
  /** Between two requests to one node, in ms. */
  readonly pauseMs?: number
  /** What is to be called at the end, the last one first. */
  readonly onEnd: (end: () => unknown) => void
}

/** What became of requests, by the number of the node that was asked first. */
export interface Asked {
  allowed: number
  denied: number
  /** No answer, or none of policy, of this node nor of the next one, which is asked as a proxy asks it where one is gone. */
  failed: number
  /** The node had no answer, and the next one was asked. */
  moved: number
  /** Another answer than that which was had for the path first. */
  changed: number
  /** How often the process ended by itself. */
  ended: number
}

const NONE: Readonly<Asked> = { allowed: 0, denied: 0, failed: 0, moved: 0, changed: 0, ended: 0 }

export interface RolloutMesh {
  readonly store: RolloutStore
  /** Publishes a version and waits for the end of its rollout. */
  rollOut(files: readonly ConfigFile[], pace?: Partial<Pace>, namespaces?: readonly string[]): Promise<Outcome>
  /** Numbers of the nodes, and of workers after them, that ever ran a version. */
  touchedBy(files: readonly ConfigFile[]): readonly number[]
  /** What became of requests since the last time that this was asked, by node. */
  asked(): readonly Asked[]
  /** Begins the rollout of a version. @returns its end */
  begin(files: readonly ConfigFile[], pace?: Partial<Pace>): Promise<{ readonly ended: Promise<Outcome> }>
  /** Kills the node that leads; it is started again. @returns its name */
  killController(): Promise<string>
  /** Starts a node of another name beside each, and ends the old ones in good order, as a deployment does. */
  replaceNodes(): Promise<void>
  /** Redis answers nobody for so long, in ms. */
  pauseRedis(ms: number): Promise<void>
  /** Ends all processes in good order, then Redis, and starts the processes again. */
  restartWithoutRedis(): Promise<void>
  /** What the nodes have written. */
  output(): string
  /** What each node answers to a GET at its admin port. */
  read(path: string): Promise<readonly unknown[]>
}

/** Starts nodes that wait for a first version, publishes it, and asks them for `path`s from then on until the end. */
export async function startMesh(
  first: readonly ConfigFile[],
  paths: readonly string[],
  { nodes, workers = 0, flags = [], pauseMs = PAUSE_MS, onEnd }: MeshOptions,
): Promise<RolloutMesh> {
  const redis = await startRedis()
  onEnd(() => redis.stop())
  const { link } = testLink(redis.url)
  onEnd(() => link.close())
  const root = mkdtempSync(join(tmpdir(), 'intermix-rollout-'))
  onEnd(() => rmSync(root, { recursive: true, force: true }))
  const place = { link, prefix: PREFIX }
  const [store, versions] = [new RolloutStore(place), new VersionStore(place)]
  const publish = async (
    files: readonly ConfigFile[],
    pace: Partial<Pace> = {},
    namespaces: readonly string[] = [],
  ) => {
    await versions.keep(files, { author: 'test', message: '' })
    const id = `${shortId(versionId(files))}-${performance.now()}`
    const wish = { id, by: 'test', pace: { ...QUICK, ...pace }, expectations: [], namespaces, again: false }
    const applied = await store.operate({ kind: 'publish', version: versionId(files), ...wish })
    if (applied.kind !== 'done') throw new Error(`not published: ${JSON.stringify(applied)}`)
    return id
  }
  const ended = async (id: string): Promise<Outcome> => {
    let outcome: Outcome | undefined
    await until(
      async () => {
        // Redis may stand still meanwhile.
        outcome = (await store.state().catch(() => undefined))?.ended.find((each) => each.id === id)
        return outcome !== undefined
      },
      `the end of ${id}`,
      LONGEST_MS,
    )
    if (outcome === undefined) throw new Error('unreachable')
    return outcome
  }
  const members = Array.from({ length: nodes + workers }, (_, number) => {
    const role = number < nodes ? 'node' : 'worker'
    return new Member(role, number, redis.url, [...flags, '--config-cache', join(root, `${number}`)])
  })
  for (const [number, member] of members.entries()) member.next = members[(number + 1) % nodes]
  onEnd(async () => {
    await Promise.all(members.map((member) => member.stop()))
  })
  await untilUp(link)
  const starting = members.map((member) => member.run())
  const firstId = await publish(first)
  await Promise.all(starting)
  await ended(firstId)
  const load = Promise.all(members.slice(0, nodes).map((member) => member.load(paths, pauseMs)))
  onEnd(async () => {
    for (const member of members) member.isStopping = true
    await load
  })
  // All of them have said that they are there.
  const observations = new Observations(place)
  await until(async () => (await observations.read()).observations.length === members.length, 'all of them')
  return {
    store,
    rollOut: async (files, pace, namespaces) => await ended(await publish(files, pace, namespaces)),
    touchedBy: (files) => members.filter((member) => member.ran(shortId(versionId(files)))).map(({ number }) => number),
    asked: () => members.slice(0, nodes).map((member) => member.take()),
    begin: async (files, pace) => ({ ended: ended(await publish(files, pace)) }),
    async killController() {
      const leads = async () => (await store.view()).controller
      await until(async () => (await leads()) !== undefined, 'a controller')
      const name = (await leads()) ?? ''
      await members.find((member) => member.name === name)?.kill()
      return name
    },
    async replaceNodes() {
      for (const member of members.slice(0, nodes)) await member.replace()
    },
    async pauseRedis(ms) {
      redis.pause()
      await setTimeout(ms)
      redis.resume()
    },
    async restartWithoutRedis() {
      for (const member of members) await member.stop()
      await redis.stop()
      await Promise.all(members.map((member) => member.run()))
    },
    output: () => members.map((member) => member.output()).join('\n'),
    read: async (path) => await Promise.all(members.slice(0, nodes).map((member) => member.read(path))),
  }
}

/** A node, and what starts it again when it ends, as an orchestrator does. */
class Member {
  readonly number: number
  readonly #role: 'node' | 'worker'
  readonly #redis: string
  readonly #flags: readonly string[]
  isStopping = false
  /** Who is asked where this one does not answer. */
  next: Member | undefined
  #generation = 0
  #process: Intermix | undefined
  #before = ''
  #asked: Asked = { ...NONE }
  /** What was answered first, by path. */
  readonly #usual = new Map<string, number>()

  constructor(role: 'node' | 'worker', number: number, redis: string, flags: readonly string[]) {
    this.number = number
    this.#role = role
    this.#redis = redis
    this.#flags = flags
  }

  get name(): string {
    return `${this.#role}-${this.number}${this.#generation === 0 ? '' : `-${this.#generation}`}`
  }

  /** It has no time to say a word. */
  async kill(): Promise<void> {
    await this.#process?.child.kill()
  }

  /** Resolves when it serves. */
  async run(): Promise<void> {
    this.isStopping = false
    const flags = ['--redis', this.#redis, ...this.#flags]
    const process = await startIntermix({ role: this.#role, config: this.#redis, nodeId: this.name, flags })
    this.#process = process
    void process.child.exited.then(() => this.#again(process)).catch(() => undefined)
  }

  async replace(): Promise<void> {
    const old = this.#process
    this.#generation++
    await this.run()
    await old?.child.stop()
  }

  async read(path: string): Promise<unknown> {
    return await (await fetch(`${this.#process?.adminUrl}${path}`)).json()
  }

  output(): string {
    return this.#before + (this.#process?.child.output() ?? '')
  }

  ran(version: string): boolean {
    return this.output()
      .split('\n')
      .some((line) => line.includes('runs this version') && line.includes(`"version":"${version}"`))
  }

  take(): Asked {
    const asked = this.#asked
    this.#asked = { ...NONE }
    return asked
  }

  /** Asks for one path after the other. */
  async load(paths: readonly string[], pauseMs: number): Promise<void> {
    for (let n = 0; !this.isStopping; n++) {
      await this.#ask(paths[n % paths.length] ?? '/')
      await setTimeout(pauseMs)
    }
  }

  async stop(): Promise<void> {
    this.isStopping = true
    await this.#process?.child.stop()
  }

  async #again(ended: Intermix): Promise<void> {
    this.#before += ended.child.output()
    // Another one has taken its place.
    if (this.#process !== ended) return
    if (!this.isStopping) this.#asked.ended++
    this.#process = undefined
    while (!this.isStopping && this.#process === undefined) {
      // One that ends while it starts has left its words in the message.
      await this.run().catch((error: unknown) => {
        this.#before += String(error)
      })
    }
  }

  async #ask(path: string): Promise<void> {
    const asked = this.#asked
    let code = await this.codeOf(path)
    if (code === undefined) {
      asked.moved++
      code = await this.next?.codeOf(path)
    }
    if (code === undefined || NO_VERDICT.has(code)) asked.failed++
    else if (code === Code.OK) asked.allowed++
    else asked.denied++
    if (code === undefined) return
    const usual = this.#usual.get(path)
    if (usual === undefined) this.#usual.set(path, code)
    else if (usual !== code) asked.changed++
  }

  /** What the node answers; `undefined` where it does not. */
  async codeOf(path: string): Promise<number | undefined> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.#process?.httpPort ?? 0}/v1/check`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ attributes: { 'request.path': path, 'destination.namespace': NAMESPACE } }),
      })
      return ((await answer.json()) as { readonly status?: { readonly code: number } }).status?.code
    } catch {
      return undefined
    }
  }
}
