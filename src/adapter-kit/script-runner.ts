// The smallest port to Redis that an adapter can need: one Lua script, run atomically.

/** A Lua script with the number of its keys. The source is the script's identity. */
export interface LuaScript {
  readonly source: string
  readonly keys: number
}

/** Runs scripts on one Redis. The owner of the port ends its connections when the handler stops. */
export interface ScriptRunner {
  /**
   * Runs a script; integers come back as numbers, bulk replies as strings.
   * Rejects with `REDIS_UNAVAILABLE` within the port's own short deadline where Redis does not answer.
   */
  run(script: LuaScript, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>
}
