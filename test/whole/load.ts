// Sends requests through a proxy, a few at a time, and compares every answer with what the policy says.
import { Pool } from 'undici'
import { type Asked, expectedStatus } from './policy.ts'

export interface Outcome {
  /** One line for each answer that is not what the policy says. */
  readonly wrong: readonly string[]
  /** Latencies in milliseconds, ascending. */
  readonly latencies: readonly number[]
}

export interface LoadOptions {
  readonly url: string
  readonly requests: readonly Asked[]
  /** Requests in flight at once; 16 unless told. */
  readonly concurrency?: number
  /** Called before the request with that number is sent. */
  readonly before?: Readonly<Record<number, () => Promise<void> | void>>
}

/** Sends all requests in order of their numbers and waits for every answer. */
export async function sendAll(options: LoadOptions): Promise<Outcome> {
  const { url, requests, concurrency = 16, before = {} } = options
  const pool = new Pool(url, { connections: concurrency })
  const wrong: string[] = []
  const latencies: number[] = []
  let next = 0
  const work = async () => {
    for (let number = next++; number < requests.length; number = next++) {
      const asked = requests[number]
      if (asked === undefined) return
      await before[number]?.()
      const startedAt = performance.now()
      const status = await ask(pool, asked)
      const ms = performance.now() - startedAt
      latencies.push(ms)
      const expected = expectedStatus(asked)
      if (status !== expected)
        wrong.push(describe(number, asked, `${status} instead of ${expected} after ${ms.toFixed(0)} ms`))
    }
  }
  try {
    await Promise.all(Array.from({ length: concurrency }, () => work()))
  } finally {
    await pool.close()
  }
  return { wrong, latencies: latencies.sort((a, b) => a - b) }
}

function describe(number: number, { user, path }: Asked, what: string): string {
  return `request ${number} ${user} ${path}: ${what}`
}

async function ask(pool: Pool, { path, user }: Asked): Promise<number | string> {
  try {
    const answer = await pool.request({ path, method: 'GET', headers: { 'x-user': user }, headersTimeout: 10_000 })
    await answer.body.dump()
    return answer.statusCode
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** The value below which a share `q` of ascending numbers lies. */
function quantile(ascending: readonly number[], q: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(q * ascending.length))] ?? 0
}

/** `p50 1.2 ms, p99 8.1 ms` */
export function latencyLine({ latencies }: Outcome): string {
  return `p50 ${quantile(latencies, 0.5).toFixed(1)} ms, p99 ${quantile(latencies, 0.99).toFixed(1)} ms`
}
