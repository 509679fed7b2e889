// The smallest port to Redis that an adapter can need: one Lua script, run atomically.

/** A Redis of its own that a handler names, and how to sign in. */
export interface RedisServer {
  /**
   * `redis://[user[:password]@]host[:port][/db]`, `redis+sentinel://host,host/master-name` or `redis+cluster://host,host`,
   * each with `rediss` for TLS.
   */
  readonly url: string
  /** File with its password, in place of one in the URL; its text without a line end, read at every connection. */
  readonly passwordFile?: string | undefined
  /** What the sentinels themselves ask for. */
  readonly sentinel?: { readonly user?: string | undefined; readonly passwordFile?: string | undefined } | undefined
}

/** A Lua script with the number of its keys, `any` where each call has as many as it needs. The source is the script's identity. */
export interface LuaScript {
  readonly source: string
  readonly keys: number | 'any'
}

/** Runs scripts on one Redis. The owner of the port ends its connections when the handler stops. */
export interface ScriptRunner {
  /** What the names of keys begin with, so that installations that share a Redis do not share them. */
  readonly prefix: string
  /** Whether all keys of a script must share one hash tag. */
  readonly isCluster: boolean
  /**
   * Runs a script; integers come back as numbers, bulk replies as strings.
   * Rejects with `REDIS_UNAVAILABLE` within the port's own short deadline where Redis does not answer; at the start, the
   * first connection is waited for.
   */
  run(script: LuaScript, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>
}
