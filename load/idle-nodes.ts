// What idle nodes cost a Redis: `node load/idle-nodes.ts [--nodes 10,100,1000] [--seconds 30] [--lean]`.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { runCommand } from './kit/command.ts'
import { cpuSeconds } from './kit/process-usage.ts'
import { printTable, saveResults, say } from './output.ts'
import { type RedisProcess, startRedis } from './redis-process.ts'

const help = `node load/idle-nodes.ts: commands and processor time of a Redis that has nothing but idle nodes

  --nodes N,…     how many, one row each                     default 10,100,1000
  --seconds S     how long it is watched                     default 30
  --lean          send what nodes send without being nodes: for 10,000 on a small machine; nobody confirms then
  --processes P   of this command, among which they are cut  default one for each 2,000

Each node has a connection of its own and the real log of revocations, signs of life, registry and report queue over it; what
else a node does takes nothing of Redis while nobody asks it. "in touch" are nodes that have the log of revocations at the end: with
less than all of them this machine was too small, and the row tells too little. Then one node revokes.`

const SETTLE_MS = 8_000
const A_PROCESS = 2_000
const A_LEAN_PROCESS = 5_000

await runCommand(
  {
    options: {
      nodes: { type: 'string', default: '10,100,1000' },
      seconds: { type: 'string', default: '30' },
      lean: { type: 'boolean', default: false },
      processes: { type: 'string', default: '0' },
    },
    help,
  },
  async ({ nodes, seconds, processes, lean }, defer) => {
    const rows = []
    for (const count of nodes.split(',').map(Number)) {
      const ends: (() => Promise<unknown>)[] = []
      const end = async () => {
        for (const each of ends.splice(0).toReversed()) await each()
      }
      defer(end)
      const hosts = Number(processes) || Math.ceil(count / (lean ? A_LEAN_PROCESS : A_PROCESS))
      const row = await measure({ count, lean, processes: hosts, seconds: Number(seconds) }, (each) => ends.push(each))
      rows.push(row)
      say(JSON.stringify(row))
      await end()
    }
    printTable(rows)
    await saveResults('idle-nodes', { rows })
  },
)

type Defer = (end: () => Promise<unknown>) => void

interface Run {
  readonly count: number
  readonly lean: boolean
  readonly processes: number
  readonly seconds: number
}

async function measure(run: Run, defer: Defer) {
  const { count, lean, seconds } = run
  const redis = await startRedis(['--maxclients', '65000'])
  defer(() => redis.stop())
  const client = new Redis(redis.port)
  defer(async () => client.disconnect())
  const hosts = await startHosts(redis, run, defer)
  await pause(SETTLE_MS)
  const own = () => cpuSeconds([redis.pid()])
  const [before, stats, at] = [own(), await callsOf(client), performance.now()]
  await pause(seconds * 1_000)
  const [used, calls, passed] = [own() - before, await callsOf(client), (performance.now() - at) / 1_000]
  const inTouch = (await Promise.all(hosts.map((host) => ask<{ inTouch: number }>(host, 'state')))).map(
    (each) => each.inTouch,
  )
  const asked = [...calls].map(([name, number]) => [name, (number - (stats.get(name) ?? 0)) / passed / count] as const)
  const each = new Map(asked)
  say(asked.map(([name, rate]) => `${name} ${rate.toFixed(2)}`).join(', '))
  const told = hosts[0] && !lean && (await ask<{ tookMs: number; counts: { confirmed: number } }>(hosts[0], 'revoke'))
  const top = ['getex', 'evalsha', 'eval', 'hscan', 'hgetall', 'llen']
  return {
    nodes: count,
    'commands a second': round(top.reduce((sum, name) => sum + (each.get(name) ?? 0), 0)),
    'within scripts': round([...each.values()].reduce((sum, rate) => sum + rate, 0)),
    'µs of Redis a second': round((used / passed / count) * 1e6),
    'share of a core, %': round((used / passed) * 100),
    'in touch': inTouch.reduce((sum, number) => sum + number, 0),
    confirmed: told ? told.counts.confirmed : 0,
    'after ms': told ? Math.round(told.tookMs) : 0,
  }
}

async function startHosts(redis: RedisProcess, { count, lean, processes }: Run, defer: Defer) {
  const script = new URL(lean ? './idle/lean-host.ts' : './idle/host.ts', import.meta.url)
  return await Promise.all(
    Array.from({ length: processes }, async (_, i) => {
      const share = Math.floor(count / processes) + (i < count % processes ? 1 : 0)
      const host = fork(script, [redis.url, String(share), `n${i}`, String(count)], {
        stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      })
      const ended = once(host, 'close')
      defer(async () => {
        host.kill('SIGKILL')
        await ended
      })
      if (host.stdout !== null) await Promise.race([once(host.stdout, 'data'), ended])
      return host
    }),
  )
}

async function ask<T>(host: ChildProcess, what: string): Promise<T> {
  const answer = once(host, 'message')
  host.send(what)
  return (await answer)[0] as T
}

async function callsOf(client: Redis): Promise<Map<string, number>> {
  const stats = await client.info('commandstats')
  return new Map(
    [...stats.matchAll(/cmdstat_([\w|]+):calls=(\d+)/g)].map(([, name = '', calls]) => [name, Number(calls)]),
  )
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
