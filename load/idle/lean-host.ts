// Idle nodes by what they send alone, for more of them than this machine can run: the same commands at the same pace as
// host.ts, each over a connection of its own, answers thrown away. `node load/idle/lean-host.ts URL COUNT NAME NODES`.

import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { stretched } from '../../src/redis/company.ts'
import { revocationKeys } from '../../src/cache/revocation-log.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'

const [url = '', count = '1', name = 'lean', nodes = '1'] = process.argv.slice(2)
const { port, hostname } = new URL(url)
/** As `RevocationService` paces itself. */
const POLL_MS = Math.min(Math.max(500, Number(nodes) / 10), 900)
const PREFIX = 'idle'
const AT_ONCE = 25
/** Polls after which what comes less often goes along. */
const PLACE = Math.ceil(stretched(5_000, Number(nodes)) / POLL_MS)
const SIGN = Math.ceil(10_000 / POLL_MS)
const LOOK = 2 * PLACE

const redis = new Redis(url)
const sha = async (file: string) => {
  const source = readFileSync(new URL(`../../src/redis/scripts/${file}.lua`, import.meta.url), 'utf8')
  return String(await redis.script('LOAD', source))
}
const scripts = {
  sync: await sha('revocation-sync-6'),
  beat: await sha('process-beat-4'),
  sign: await sha('node-sign-4'),
  lookout: await sha('process-lookout-1'),
  look: await sha('queue-look-1'),
}
const log = revocationKeys(PREFIX)
const head = async () => (await redis.get(log.head)) ?? ''
const names = queueNames(PREFIX)
const { ledger } = names
const rules = 'a'.repeat(64)
const queue = names.reports(rules)
const wait = `${names.keyPrefix(queue)}:${queue}:wait`
const tag = `{${PREFIX}-processes}`
const intake = { accepted: 0, delivered: 0, held: 0, stored: 0, recovered: 0, dropped: {}, refused: {} }

function evalsha(script: string, keys: readonly string[], ...args: readonly (string | number)[]): string {
  return command('EVALSHA', script, keys.length, ...keys, ...args)
}

function command(...parts: readonly (string | number)[]): string {
  return `*${parts.length}\r\n${parts.map((part) => `$${Buffer.byteLength(String(part))}\r\n${part}\r\n`).join('')}`
}

function node(id: string, socket: Socket, generation: string): void {
  const { head: headKey, log: logKey, applied, heard, reunion, late } = log
  const syncKeys = [headKey, logKey, applied, heard, reunion, late]
  const words = JSON.stringify({ id, rules, adds: [rules], evaluates: [], delivers: [] })
  const numbers = JSON.stringify({ node: id, intake, queued: {}, rules: [] })
  const beat = (said: string) =>
    evalsha(
      scripts.beat,
      [`${tag}:heard`, `${tag}:words`, `${tag}:queues`, `${tag}:version`],
      id,
      said,
      1_000,
      ` ${rules}`,
    )
  const poll = command('GETEX', headKey)
  const sync =
    evalsha(scripts.sync, syncKeys, id, generation, 0, '', `${id}-t`, 600_000, 8_000, 1_000, 0, '') + beat('')
  const sign = evalsha(
    scripts.sign,
    [ledger.nodes, ledger.arrived, ledger.signed, ledger.reached],
    id,
    numbers,
    0,
    20_000,
    86_400_000,
  )
  const looks = evalsha(scripts.look, [wait]) + evalsha(scripts.lookout, [`${tag}:lookout:`], id, 30_000, '')
  socket.write(sync + beat(words) + sign + looks)
  let polls = 0
  setInterval(() => {
    polls++
    const places = polls % PLACE === 0 ? sync : poll
    socket.write(places + (polls % SIGN === 0 ? sign : '') + (polls % LOOK === 0 ? looks : ''))
  }, POLL_MS)
}

const first = connect(Number(port), hostname)
first.resume()
await once(first, 'connect')
first.write(
  evalsha(
    scripts.sync,
    [log.head, log.log, log.applied, log.heard, log.reunion, log.late],
    `${name}-0`,
    '',
    0,
    '',
    name,
    600_000,
    8_000,
    1,
    -1,
    '',
  ),
)
while ((await head()) === '') await pause(20)
const [generation = ''] = (await head()).split(' ')
async function start(id: string): Promise<void> {
  const socket = connect(Number(port), hostname)
  socket.setNoDelay(true)
  socket.resume()
  await once(socket, 'connect')
  node(id, socket, generation)
}

for (let started = 0; started < Number(count); started += AT_ONCE) {
  const more = Math.min(AT_ONCE, Number(count) - started)
  await Promise.all(Array.from({ length: more }, (_, i) => start(`${name}-${started + i}`)))
  // At any time within a poll.
  await pause((7 * POLL_MS * AT_ONCE) / Math.max(Number(count), AT_ONCE))
}
process.stdout.write(`${JSON.stringify({ started: Number(count) })}\n`)
process.on('message', () => process.send?.({ inTouch: 0 }))
