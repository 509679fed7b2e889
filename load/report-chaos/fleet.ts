// The processes of a run: nodes and workers of the real command, under one config.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { COUNTER } from './config.ts'
import { Member } from './member.ts'

const NODES = 2
const WORKERS = 2

/** What an acknowledgement promises. */
export type Ack = 'replicated' | 'queued' | 'memory'

export interface FleetOptions {
  readonly config: string
  /** Of nodes and workers. */
  readonly redisFlags: readonly string[]
  /** What a node's acknowledgement promises; with `memory` it has no disk either. */
  readonly ack: Ack
  /** Environment of nodes and workers. */
  readonly env?: Readonly<Record<string, string>>
}

export class Fleet {
  readonly nodes: readonly Member[]
  readonly workers: readonly Member[]
  readonly #directory: string

  private constructor(options: FleetOptions, directory: string) {
    const { ack, env = {}, redisFlags } = options
    this.#directory = directory
    const common = ['--config', join(directory, 'config'), ...redisFlags]
    const named = (role: 'node' | 'worker', count: number, flags: (name: string) => readonly string[]) =>
      Array.from({ length: count }, (_, index) => {
        const name = `${role}-${index + 1}`
        return new Member({ role, name, flags: [...common, ...flags(name)], env })
      })
    this.nodes = named('node', NODES, (name) => [
      '--report-ack',
      ack,
      ...(ack === 'memory' ? [] : ['--spool-dir', join(directory, name)]),
    ])
    this.workers = named('worker', WORKERS, () => [])
  }

  /** Starts all of it; ends what had started where something does not. */
  static async start(options: FleetOptions): Promise<Fleet> {
    const directory = await mkdtemp(join(tmpdir(), 'intermix-chaos-'))
    await mkdir(join(directory, 'config'))
    await writeFile(join(directory, 'config', 'policy.yaml'), options.config)
    const fleet = new Fleet(options, directory)
    try {
      await fleet.heal()
    } catch (error) {
      await fleet.stop()
      throw error
    }
    return fleet
  }

  get members(): readonly Member[] {
    return [...this.nodes, ...this.workers]
  }

  /** Everything runs again. */
  async heal(): Promise<void> {
    await Promise.all(this.members.map((member) => member.up()))
  }

  /** The records that the workers' counters have, over all of them; `NaN` where one does not answer. */
  async counted(): Promise<number> {
    const texts = await Promise.all(
      this.workers.map(async ({ addresses }) => {
        const answer = await fetch(`http://${addresses?.prometheus}/metrics`).catch(() => undefined)
        return answer?.ok === true ? await answer.text() : undefined
      }),
    )
    return texts.reduce((sum, text) => sum + (text === undefined ? Number.NaN : sumOf(text)), 0)
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop()))
    await rm(this.#directory, { recursive: true, force: true })
  }
}

function sumOf(text: string): number {
  const lines = text.split('\n').filter((line) => line.startsWith(`${COUNTER}{`) || line.startsWith(`${COUNTER} `))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}
