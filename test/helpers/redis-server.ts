// What every kind of Redis for tests can do: a local process, a database elsewhere, a container.

/** A Redis of the test's own. The port stays the same over `kill` and `restart`; the data does not survive them. */
export interface RedisServer {
  readonly url: string
  /** On 127.0.0.1. */
  readonly port: number
  /** Process id of the server that runs now (another one after a restart); throws where the server is not a local process. */
  readonly pid: number
  /** Ends it and removes what it left; safe twice. */
  stop(): Promise<void>
  /** Connections stay open, nothing answers (SIGSTOP). */
  pause(): void
  /** Ends a pause. */
  resume(): void
  /** Connections break, the port refuses (SIGKILL). */
  kill(): Promise<void>
  /** Starts again on the same port, empty; ends the running one first. */
  restart(): Promise<void>
}
