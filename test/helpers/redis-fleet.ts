// Several redis-server processes of one test, told apart by their ports, each with a folder of its own: what was in memory
// survives a kill, as the append-only file and the config file do.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { type Child, spawnChild } from './process.ts'
import { findTool } from './tools.ts'

/** One process to be: lines of its config file, which it may rewrite, and arguments, which come after them. */
export interface FleetMember {
  readonly port: number
  readonly config: readonly string[]
  readonly args?: readonly string[]
  /** To sign in with, as the default user. */
  readonly password?: string | undefined
}

/** What can be done with the single processes of a setup. */
export interface RedisProcesses {
  /** Sends a command to the process at this port. @throws Error where it does not answer within 2 s. */
  ask(port: number, command: string, ...args: (string | number)[]): Promise<unknown>
  /** Process id of the one that runs at this port now. */
  pid(port: number): number
  /** Ends the process at this port by the signal, SIGKILL unless told, and waits for its end. */
  kill(port: number, signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>
  /** It stops answering; its connections stay. */
  pause(port: number): void
  resume(port: number): void
  /** Starts it again on its port with what it has in its files; ends it first where it runs. */
  restart(port: number): Promise<void>
  /** Ends all and removes their files; safe twice. */
  stop(): Promise<void>
}

const COMMAND_TIMEOUT_MS = 2_000

/** A folder of its own for the files of a fleet, which removes it when it stops. */
export async function fleetFolder(): Promise<string> {
  return await mkdtemp(join(tmpdir(), 'intermix-redis-fleet-'))
}

export class RedisFleet implements RedisProcesses {
  readonly #directory: string
  readonly #members = new Map<number, FleetMember>()
  readonly #children = new Map<number, Child>()
  readonly #clients = new Map<number, Redis>()
  readonly #paused = new Set<number>()

  /** A fleet without members yet, whose files lie in this folder. */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** Starts one more process and waits until it takes connections. */
  async add(member: FleetMember): Promise<void> {
    const folder = this.#folder(member.port)
    await mkdir(folder)
    const base = [`port ${member.port}`, 'bind 127.0.0.1', `dir ${folder}`]
    await writeFile(join(folder, 'redis.conf'), `${[...base, ...member.config].join('\n')}\n`)
    this.#members.set(member.port, member)
    await this.#launch(member)
  }

  /** Ports of the processes that run and are not paused, in order of their first start. */
  get answering(): readonly number[] {
    return [...this.#members.keys()].filter((port) => this.#runs(port) && !this.#paused.has(port))
  }

  pid(port: number): number {
    return this.#child(port).pid
  }

  async ask(port: number, command: string, ...args: (string | number)[]): Promise<unknown> {
    return await this.#client(port).call(command, ...args)
  }

  async kill(port: number, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    this.#forget(port)
    const child = this.#child(port)
    await (signal === 'SIGKILL' ? child.kill() : child.stop(30_000))
  }

  pause(port: number): void {
    this.#paused.add(port)
    this.#child(port).signal('SIGSTOP')
  }

  resume(port: number): void {
    this.#paused.delete(port)
    this.#child(port).signal('SIGCONT')
  }

  async restart(port: number): Promise<void> {
    if (this.#runs(port)) await this.kill(port)
    const member = this.#members.get(port)
    if (member === undefined) throw new Error(`no redis-server was started on port ${port}`)
    await this.#launch(member)
  }

  async stop(): Promise<void> {
    for (const port of this.#members.keys()) this.#forget(port)
    await Promise.all([...this.#children.values()].map((child) => child.kill()))
    await rm(this.#directory, { recursive: true, force: true })
  }

  async #launch({ port, args = [] }: FleetMember): Promise<void> {
    const file = join(this.#folder(port), 'redis.conf')
    const child = await spawnChild(findTool('redis-server') ?? 'redis-server', [file, ...args])
    this.#children.set(port, child)
    await child.waitForPort(port)
  }

  #folder(port: number): string {
    return join(this.#directory, String(port))
  }

  #child(port: number): Child {
    const child = this.#children.get(port)
    if (child === undefined) throw new Error(`no redis-server was started on port ${port}`)
    return child
  }

  #runs(port: number): boolean {
    return this.#children.get(port)?.running() === true
  }

  #client(port: number): Redis {
    const known = this.#clients.get(port)
    if (known !== undefined) return known
    const password = this.#members.get(port)?.password
    const client = new Redis({
      port,
      host: '127.0.0.1',
      ...(password === undefined ? {} : { password }),
      commandTimeout: COMMAND_TIMEOUT_MS,
      maxRetriesPerRequest: 1,
      // A sentinel has no INFO that says whether it has loaded its data.
      enableReadyCheck: false,
    })
    client.on('error', () => undefined)
    this.#clients.set(port, client)
    return client
  }

  #forget(port: number): void {
    this.#paused.delete(port)
    this.#clients.get(port)?.disconnect()
    this.#clients.delete(port)
  }
}
