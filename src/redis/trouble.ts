// When Redis cannot do what it is asked through no fault of the asker: nothing is learned of the data in hand then.

import { IntermixError } from '../kernel/errors.ts'

/** `full`: it takes no writes for lack of memory. `away`: out of reach, starting, a replica, or unable to keep what it takes. */
export type RedisTrouble = 'full' | 'away'

// Scripts of older servers put the error of a command inside one of their own.
const FULL = /\bOOM command not allowed\b/
const AWAY = /\b(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|NOREPLICAS|UNBLOCKED)\b/

/** The trouble that an error, or what caused it, tells of; `undefined` for every other failure. */
export function redisTrouble(error: unknown): RedisTrouble | undefined {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (each instanceof IntermixError) {
      if (each.code === 'REDIS_UNAVAILABLE') return 'away'
    } else if (each.name === 'ReplyError') {
      if (FULL.test(each.message)) return 'full'
      if (AWAY.test(each.message)) return 'away'
    }
  }
  return undefined
}
