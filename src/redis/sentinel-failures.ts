// Why the sentinels lead to no master: ioredis says of each of them only that it was of no use.

import type { Redis } from 'ioredis'
import { diagnose, type Findings } from './diagnosis.ts'
import { type Attempt, explainFailure } from './failure-reason.ts'
import type { RedisTarget } from '../kernel/redis-url.ts'

const FAILED = /^failed to connect to sentinel (\S+) because (.*)$/s
const ANSWERED = /^connected to sentinel (\S+) /
/** What ioredis says when it has asked all of them in vain. */
const ALL_FAILED = /^All sentinels are unreachable/

/** What servers answer for a name that they do not know: nothing, or an error. */
const isUnknown = (message: string) => ANSWERED.test(message) || message.includes('No such master with that name')

/** So many are told of, and looked at at once: a list may name any number. */
const MAX_TOLD = 5

/** Tells what each sentinel failed with, whenever none of them has named a master. */
export function listenToSentinels(client: Redis, target: RedisTarget, findings: Findings): void {
  const { nodes, tls, masterName } = target
  /** What is known of each, by `host:port`. */
  const words = new Map<string, string>()
  /** Those that have to be looked at. */
  const unclear = new Set<string>()
  const unknownMaster = `it knows no master '${masterName}': correct the name in the URL, or have it watch that one`
  const attempt = (place: string): Attempt => ({ kind: 'sentinel', tls, place })

  client.on('sentinelError', ({ message }: Error) => {
    const [, name = '', why = ''] = FAILED.exec(message) ?? ANSWERED.exec(message) ?? []
    const known = isUnknown(message) ? unknownMaster : explainFailure(new Error(why), attempt(name))
    if (known === undefined) unclear.add(name)
    else words.set(name, known)
  })
  client.on('error', ({ message }: Error) => {
    if (!ALL_FAILED.test(message)) return
    tellAll()
    if (unclear.size > 0) findings.look(lookAtSentinels)
  })
  client.on('connect', () => {
    words.clear()
    unclear.clear()
  })

  function tellAll(): void {
    if (words.size === 0) return
    const told = [...words].slice(0, MAX_TOLD).map(([name, text]) => `sentinel ${name}: ${text}`)
    const others = new Set([...words.keys(), ...unclear]).size - told.length
    findings.tell([...told, ...(others > 0 ? [`and ${others} more`] : [])].join('; '))
  }

  async function lookAtSentinels(): Promise<undefined> {
    const { sentinelUsername: username, sentinelPassword: password, sentinelTLS } = client.options
    const asked = nodes.filter(({ host, port }) => unclear.has(`${host}:${port}`)).slice(0, MAX_TOLD)
    for (const { host, port } of asked) unclear.delete(`${host}:${port}`)
    await Promise.all(
      asked.map(async (place) => {
        const name = `${place.host}:${place.port}`
        const signIn = { username: username ?? undefined, password: password ?? undefined, tls: sentinelTLS }
        const found = await diagnose(place, signIn, attempt(name))
        if (found === undefined) words.delete(name)
        else words.set(name, found)
      }),
    )
    tellAll()
  }
}
