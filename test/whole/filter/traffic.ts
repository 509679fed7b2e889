// Clients that ask for all there is, again and again, over a connection each; and what is wrong with the answers.
import { Client } from 'undici'
import { type Asked, allowed, type Moment, REQUESTS } from './policy.ts'
import type { World } from './world.ts'

/** More than two, so that both of Envoy's workers have some. */
const CLIENTS = 12
const PATIENCE_MS = 20_000

export interface Traffic {
  /** A line for each answer that failed, or was wrong when it was given. */
  readonly findings: readonly string[]
  readonly answered: number
  /** What is changed from now on may be seen, or what was before. */
  changing(): void
  /** What is asked from now on has to be answered by what is now. */
  settled(): void
  /** Waits until each client has asked for everything. @returns how many were answered by what was before a change */
  round(): Promise<number>
  stop(): Promise<void>
}

/** Begins, after each client has had all answers once. */
export async function startTraffic(world: World): Promise<Traffic> {
  const findings: string[] = []
  let answered = 0
  let outdated = 0
  const end = new AbortController()
  let before: Moment | undefined
  const rounds = new Array<number>(CLIENTS).fill(0)
  const clients = rounds.map(() => new Client(world.envoy.url, { pipelining: 1 }))
  const work = async (client: Client, index: number) => {
    while (!end.signal.aborted) {
      for (const asked of REQUESTS) {
        const possible = [world.now, before]
        const status = await ask(client, asked)
        answered++
        if (status === statusOf(asked, world.now)) continue
        if (possible.some((moment) => moment !== undefined && status === statusOf(asked, moment))) outdated++
        else findings.push(`${asked.path} ${asked.user}: ${status} at ${JSON.stringify(world.now)}`)
      }
      rounds[index] = (rounds[index] ?? 0) + 1
    }
  }
  await Promise.all(clients.map(warmUp))
  const workers = clients.map(work)
  return {
    findings,
    get answered() {
      return answered
    },
    changing() {
      before = world.now
    },
    settled() {
      before = undefined
    },
    async round() {
      const until = rounds.map((done) => done + 2)
      const from = outdated
      while (rounds.some((done, index) => done < (until[index] ?? 0))) await new Promise(setImmediate)
      return outdated - from
    },
    async stop() {
      end.abort()
      await Promise.all(workers)
      await Promise.all(clients.map((client) => client.close()))
    },
  }
}

/** Of the cold processes some may be late. */
async function warmUp(client: Client): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  for (const asked of REQUESTS) {
    let status = await ask(client, asked)
    while (status !== 200 && status !== 403 && performance.now() < deadline) status = await ask(client, asked)
  }
}

async function ask(client: Client, { path, user }: Asked): Promise<number | string> {
  try {
    const options = { path, method: 'GET', headers: { 'x-user': user }, headersTimeout: PATIENCE_MS } as const
    const { statusCode, body } = await client.request(options)
    await body.dump()
    return statusCode
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function statusOf(asked: Asked, moment: Moment): number {
  return allowed(asked, moment) ? 200 : 403
}
