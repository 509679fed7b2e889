// One node and its callers, which come to it at once, and again when it was killed.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { type Cluster, startCluster } from '../cluster.ts'
import { cpuSeconds } from '../kit/process-usage.ts'
import { say } from '../output.ts'
import { freePorts } from '../processes.ts'

const PERIOD_MS = 100

interface Told {
  readonly toldMs: readonly number[]
  readonly crashes: number
}

interface FleetStartOptions {
  /** Callers. */
  readonly count: number
  /** The part of the time that the node runs. */
  readonly share: number
  /** Their processes. */
  readonly callers: number
  /** Who was not told by then is given up. */
  readonly seconds: number
  readonly root: URL
}

export class FleetStart {
  readonly #options: FleetStartOptions
  #hosts: readonly ChildProcess[] = []
  #node: Cluster | undefined

  constructor(options: FleetStartOptions) {
    this.#options = options
  }

  async rounds() {
    const [port = 0] = await freePorts(1)
    this.#node = await this.#start(port)
    this.#hosts = await this.#startHosts(port)
    const first = await this.#round('start')
    await this.#node.nodes[0]?.child.kill()
    await this.#node.stop()
    this.#node = await this.#start(port)
    return [first, await this.#round('again')]
  }

  async end(): Promise<void> {
    for (const host of this.#hosts) host.kill('SIGKILL')
    await this.#node?.stop()
  }

  async #start(port: number): Promise<Cluster> {
    const root = new URL(this.#options.root).pathname
    return await startCluster({ nodes: 1, backends: [], redis: 'none', name: 'fleet', grpcPorts: [port], root })
  }

  async #startHosts(port: number): Promise<readonly ChildProcess[]> {
    const { count, callers, root } = this.#options
    return await Promise.all(
      Array.from({ length: callers }, async (_, index) => {
        const share = Math.floor(count / callers) + (index < count % callers ? 1 : 0)
        const script = new URL('callers.ts', import.meta.url)
        const host = fork(script, [root.href, String(port), String(share), `c${index}`])
        await once(host, 'message')
        return host
      }),
    )
  }

  async #round(round: string) {
    const { count, share, seconds } = this.#options
    const pid = this.#node?.nodes[0]?.child.pid ?? 0
    const before = cpuSeconds([pid])
    const release = slowed(pid, share)
    const told = await Promise.all(
      this.#hosts.map(async (host) => {
        const answer = once(host, 'message')
        host.send({ wait: seconds })
        return (await answer)[0] as Told
      }),
    )
    const used = cpuSeconds([pid]) - before
    release()
    const times = told.flatMap(({ toldMs }) => toldMs).toSorted((a, b) => a - b)
    const row = {
      links: count,
      'node runs, %': share * 100,
      round,
      told: times.length,
      'half after s': secondsOf(times[Math.floor(count / 2)]),
      'all after s': secondsOf(times[count - 1]),
      "node's ms a link": ((used / count) * 1_000).toFixed(2),
      'callers crashed': told.reduce((sum, { crashes }) => sum + crashes, 0),
    }
    say(JSON.stringify(row))
    await pause(1_000)
    return row
  }
}

/** Lets a process run for a share of the time. @returns what ends that */
function slowed(pid: number, share: number): () => void {
  if (share >= 1) return () => undefined
  const timers = new Set<NodeJS.Timeout>()
  const run = () => {
    process.kill(pid, 'SIGCONT')
    timers.add(setTimeout(() => process.kill(pid, 'SIGSTOP'), PERIOD_MS * share))
  }
  run()
  const again = setInterval(run, PERIOD_MS)
  return () => {
    clearInterval(again)
    for (const timer of timers) clearTimeout(timer)
    process.kill(pid, 'SIGCONT')
  }
}

const secondsOf = (ms: number | undefined) => (ms === undefined ? '–' : (ms / 1_000).toFixed(1))
