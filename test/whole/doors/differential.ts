// Sends the same odd requests through every door, and finds what is let through that should not be.
import { type Described, describe } from './attributes.ts'
import { type Doors, PROGRAM_DOORS, type Proxy, type Passage } from './doors.ts'
import { type Message, NUMBER_HEADER, textOf } from './message.ts'
import { denialOf } from './policy.ts'
import { readingsOf } from './readings.ts'
import { Dice, oddRequest } from './requests.ts'

/** An answer that stays a failure is asked for again and again, which takes seconds: others need not wait for it. */
const IN_FLIGHT = 8

/** How many requests of a door ended in which way. */
export type Tally = Map<string, number>

export interface Differential {
  /** What is wrong, a line each. */
  readonly findings: readonly string[]
  readonly tallies: ReadonlyMap<string, Tally>
}

/**
 * Asks about `count` requests everywhere. For each of them
 * - the doors for programs give one answer;
 * - what a proxy delivers is nothing that policy denies, whichever of the known readings its upstream has of it, and
 *   nothing that a program would be denied that asked about the very request that was delivered;
 * - what a proxy denies by policy, programs are not allowed that ask about the request as it was sent;
 * - a proxy that keeps answers, asked twice, passes and refuses the same as one that keeps none;
 * - no answer is a failure of the node.
 */
export async function differential(doors: Doors, count: number, seed: number): Promise<Differential> {
  const dice = new Dice(seed)
  const messages = Array.from({ length: count }, () => oddRequest(dice))
  const findings: string[][] = messages.map(() => [])
  const tallies = new Map<string, Tally>()
  const tally = (door: string, outcome: string) => {
    const counts = tallies.get(door) ?? new Map<string, number>()
    tallies.set(door, counts.set(outcome, (counts.get(outcome) ?? 0) + 1))
  }
  const askAbout = async (message: Message, index: number) => {
    const found = (what: string) => findings[index]?.push(`request ${index} ${show(message)}: ${what}`)
    const sent = await verdictOf(doors, message, found)
    for (const [door, status] of Object.entries(sent)) tally(door, String(status))
    const passedBy = async (proxy: Proxy) => {
      const passage = await proxy.pass(message)
      tally(proxy.name, passage.delivered === undefined ? String(passage.status) : 'delivered')
      await judge(doors, proxy, passage, sent, found)
      return passage
    }
    const passed = await Promise.all(doors.proxies.map(async (proxy) => [proxy.name, await passedBy(proxy)] as const))
    const passages = new Map(passed)
    for (const proxy of doors.proxies.filter(({ likeness }) => likeness !== undefined)) {
      const [first, second] = [passages.get(proxy.name), await passedBy(proxy)]
      const expected = textOfPassage(passages.get(proxy.likeness ?? ''))
      for (const [time, passage] of [first, second].entries()) {
        const is = textOfPassage(passage)
        if (is !== expected) found(`${proxy.name} at time ${time + 1} ${is}, ${proxy.likeness} ${expected}`)
      }
    }
  }
  const left = messages.entries()
  const work = async () => {
    for (const [index, message] of left) await askAbout(message, index)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, work))
  return { findings: findings.flat(), tallies }
}

/** Statuses at the doors for programs; empty where they cannot state the request. */
type Verdicts = Readonly<Record<string, number>>

async function verdictOf(doors: Doors, message: Message, found: (what: string) => void): Promise<Verdicts> {
  const described = describe(message)
  if (described === undefined) return {}
  const { json, ...others } = await askPrograms(doors, described)
  for (const [door, status] of Object.entries(others)) {
    if (status !== json) found(`JSON says ${json}, ${door} ${status}`)
  }
  const denied = readingsOf(message).find((reading) => denialOf(reading) !== undefined)
  if (json === 200 && denied !== undefined) {
    found(`programs are allowed what rule ${denialOf(denied)} denies as ${JSON.stringify(denied.path)}`)
  }
  return { json, ...others }
}

async function askPrograms(doors: Doors, described: Described) {
  const [json = 0, mixer = 0, batch = 0] = await Promise.all(
    PROGRAM_DOORS.map((door) => doors.programs[door](described)),
  )
  return { json, mixer, batch }
}

async function judge(
  doors: Doors,
  proxy: Proxy,
  { status, delivered }: Passage,
  sent: Verdicts,
  found: (what: string) => void,
): Promise<void> {
  if (delivered === undefined) {
    if (status === 200) found(`${proxy.name} answered 200 and delivered nothing`)
    if (status === 500 || status === 502 || status === 503 || status === 504) found(`${proxy.name} failed: ${status}`)
    if (status === 403 && sent['json'] === 200) found(`${proxy.name} denies by policy what programs are allowed`)
    return
  }
  const denied = readingsOf(delivered).find((reading) => denialOf(reading) !== undefined)
  if (denied !== undefined) {
    const as = `as ${JSON.stringify(denied.path)} of ${JSON.stringify(denied.host)}`
    found(`${proxy.name} delivered ${show(delivered)}, which rule ${denialOf(denied)} denies ${as}`)
  }
  const described = describe(delivered)
  if (described === undefined) found(`${proxy.name} delivered ${show(delivered)}, which can be read in two ways`)
  else {
    const { json } = await askPrograms(doors, described)
    if (json !== 200) found(`${proxy.name} delivered ${show(delivered)}, of which programs are told ${json}`)
  }
}

/** Differ between any two requests. */
const OWN_HEADERS: ReadonlySet<string> = new Set([NUMBER_HEADER, 'x-request-id'])

function textOfPassage(passage: Passage | undefined): string {
  if (passage?.delivered === undefined) return `answered ${passage?.status}`
  const headers = passage.delivered.headers.filter(([name]) => !OWN_HEADERS.has(name.toLowerCase()))
  const lines = headers.map((header) => header.join(':')).toSorted()
  // Clients of HTTP/2 name the proxy itself where a request names no host.
  const text = JSON.stringify({ ...passage.delivered, headers: lines })
  return `delivered ${text.replace(/(host: 127\.0\.0\.1):\d+/, '$1')}`
}

function show({ method, target, version, headers }: Message): string {
  const lines = headers.map(([name, value]) => `${name}: ${value.length > 60 ? `${value.slice(0, 60)}…` : value}`)
  return JSON.stringify([`${method} ${textOf(target) ?? target} ${version}`, ...lines])
}

/** The tallies as a table, for people. */
export function tableOf({ tallies }: Differential): Record<string, Record<string, number>> {
  return Object.fromEntries(
    [...tallies].map(([door, counts]) => [door, Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)))]),
  )
}
