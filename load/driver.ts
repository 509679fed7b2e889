// The open-loop driver: requests go out when the schedule says so, whatever became of earlier ones, and a latency
// counts from the time at which the request should have been sent. A server that stalls cannot hide it.

/** What a target answered. `error` says why there was no decision. */
export interface Reply {
  readonly decision: 'allow' | 'deny' | 'none'
  readonly error?: string
  /** Where Intermix had it from; `undefined` for backends. */
  readonly tier?: string | undefined
  /** How old the answer's oldest part is. */
  readonly ageMs?: number | undefined
}

export interface Outcome extends Reply {
  readonly key: number
  /** Number of the request in the schedule. */
  readonly number: number
  /** Intended time of sending, in ms from the start. */
  readonly at: number
  readonly latencyMs: number
  /** How long after the intended time it was really sent: the driver's own fault. */
  readonly lateMs: number
}

export interface DriveOptions {
  /** Ascending times of sending, in ms from the start; each is asked for when the one before it has been sent. */
  readonly arrivals: Iterable<number>
  /** Called once for each request, in order. */
  readonly nextKey: () => number
  /** Must settle by itself; a rejection is an answer without a decision. */
  readonly ask: (key: number, number: number) => Promise<Reply>
  readonly onOutcome: (outcome: Outcome) => void
  /** Requests beyond it are not sent, and end without a decision. Default 5000. */
  readonly maxInFlight?: number
  /** Start on the clock of `performance.now`; now unless given, so that drivers can share one start. */
  readonly startAt?: number
}

/** Sends every request of the schedule; resolves when all have ended. */
export async function drive(options: DriveOptions): Promise<void> {
  const { arrivals, nextKey, ask, onOutcome, maxInFlight = 5_000, startAt = performance.now() } = options
  const running = new Set<Promise<void>>()
  let sent = 0
  for (const at of arrivals) {
    const number = sent++
    const wait = startAt + at - performance.now()
    // Shorter waits than a timer's grain would only make requests late.
    if (wait > 0.5) await new Promise((resolve) => setTimeout(resolve, wait))
    const key = nextKey()
    const lateMs = performance.now() - startAt - at
    const end = (reply: Reply) =>
      onOutcome({ ...reply, key, number, at, lateMs, latencyMs: performance.now() - startAt - at })
    if (running.size >= maxInFlight) {
      end({ decision: 'none', error: 'too many requests in flight' })
      continue
    }
    const request = ask(key, number)
      .catch(
        (error: unknown): Reply => ({
          decision: 'none',
          error: error instanceof Error ? error.message : String(error),
        }),
      )
      .then((reply) => {
        running.delete(request)
        end(reply)
      })
    running.add(request)
  }
  await Promise.all(running)
}
