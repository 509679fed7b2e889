// Which history of writes of which server: what was written before and what is written now are in the same one only if
// neither the process nor its rank has changed in between.

import { IntermixError } from '../kernel/errors.ts'
import { defineScript } from './scripts.ts'

/** Run id and replication id of a server. Once a server has left a line it never comes back to it. */
export type ServerLine = string

/** Asks the server that holds a key, over the connection on which it is written. */
export const SERVER_LINE = defineScript<ServerLine>({
  name: 'server-line',
  keys: 1,
  reply(raw) {
    const [run, history] = Array.isArray(raw) ? raw.map(String) : []
    return lineOf(run, history)
  },
})

/** What a server says of itself in `INFO server` and `INFO replication`. */
export interface ServerStanding {
  readonly line: ServerLine
  /** Replicas that follow its writes now. */
  readonly replicas: number
}

/** @throws IntermixError REDIS_UNAVAILABLE where the server does not tell who it is. */
export function readStanding(server: string, replication: string): ServerStanding {
  const field = (text: string, name: string) => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(text)?.[1]
  return {
    line: lineOf(field(server, 'run_id'), field(replication, 'master_replid')),
    replicas: replication.match(/^slave\d+:.*\bstate=online\b/gm)?.length ?? 0,
  }
}

function lineOf(run: string | undefined, history: string | undefined): ServerLine {
  if (run !== undefined && run !== '' && history !== undefined && history !== '') return `${run} ${history}`
  throw new IntermixError(
    'REDIS_UNAVAILABLE',
    'Redis does not tell which run of it this is (run_id and master_replid in INFO): nothing can be promised as replicated',
  )
}
