// One of several processes of a node: a role as usual, but what is the node's as a whole (the admin port, the private Redis,
// what is said at the start) is its parent's, who asks and orders it over the channel between them.

import { IntermixError } from '../kernel/errors.ts'
import type { OperationRequest } from '../kernel/operation.ts'
import { Latest } from '../kernel/latest.ts'
import type { Siblings } from '../kernel/siblings.ts'
import type { AdminServer } from '../observe/admin-server.ts'
import { debugJson } from '../observe/debug-json.ts'
import type { LogLevel } from '../observe/logger.ts'
import type { Settings } from '../settings/settings.ts'
import {
  type Announcement,
  HEALTH,
  type HealthAnswer,
  LOG_LEVEL,
  METRICS,
  OPERATION,
  SIBLING,
  SIBLINGS,
  type SiblingQuestion,
  START,
  START_FAILED,
  STARTED,
  STOP,
  VIEW,
} from './process-messages.ts'
import type { ProcessLink } from './process-link.ts'
import { type RoleHost, runRole } from './run-role.ts'

type AdminOptions = Parameters<NonNullable<RoleHost['createAdmin']>>[0]

/** Longer than the parent waits for the slowest of the others. */
const SIBLINGS_TIMEOUT_MS = 4_000

/** Waits for the parent's order, and runs until it, a signal or its end says stop. @returns the exit code. */
export async function runServingProcess(host: RoleHost, link: ProcessLink): Promise<number> {
  const ordered = Promise.withResolvers<Settings | undefined>()
  link.answer(START, (settings) => ordered.resolve(settings as Settings))
  const stop = Promise.withResolvers<void>()
  link.answer(STOP, () => stop.resolve())
  void stop.promise.then(() => ordered.resolve(undefined))
  host.onSignal(() => ordered.resolve(undefined))
  const siblings = siblingsOver(link)
  const settings = await ordered.promise
  if (settings === undefined) return 0
  let offered: AdminOptions | undefined
  const prefix = `intermix ${settings.role}: `
  return await runRole(settings, {
    ...host,
    siblings,
    createAdmin(options) {
      offered = options
      return adminOver(link, options)
    },
    announce({ addresses, facts }) {
      const { admin: _, ...own } = addresses
      if (offered === undefined) return
      const names = { views: [...offered.debug.keys()], operations: [...(offered.operations?.keys() ?? [])] }
      link.tell(STARTED, { addresses: own, facts, ...names, health: healthOf(offered) } satisfies Announcement)
    },
    // The parent says for itself who speaks.
    err: (text) => link.tell(START_FAILED, text.startsWith(prefix) ? text.slice(prefix.length) : text),
    onSignal(listener) {
      host.onSignal(listener)
      void stop.promise.then(() => listener('node ends'))
    },
  })
}

/** What an admin port offers, offered to the parent. */
function adminOver(link: ProcessLink, options: AdminOptions): AdminServer {
  const { meter, debug, operations, log } = options
  link.answer(METRICS, () => meter.snapshot())
  link.answer(HEALTH, () => healthOf(options))
  link.answer(VIEW, async (name) => {
    const view = debug.get(name as string)
    if (view === undefined) throw new IntermixError('NOT_FOUND', `there is no view ${name as string}`)
    return debugJson(await view())
  })
  link.answer(OPERATION, async (asked) => {
    const { name, body, query } = asked as OperationRequest & { readonly name: string }
    const operation = operations?.get(name)
    if (operation === undefined) throw new IntermixError('NOT_READY', 'this process is still starting')
    return await operation({ body: Buffer.from(body), query })
  })
  link.answer(LOG_LEVEL, (level) => {
    log.level = level as LogLevel
  })
  return { listen: async () => '', close: async () => {} }
}

function healthOf({ health, debug }: AdminOptions): HealthAnswer {
  const served = debug.get('config')?.() as { readonly snapshotId?: string } | undefined
  return { ready: health.ready, checks: health.checks(), config: served?.snapshotId }
}

/** The parent hands questions on to all others; what they ask has a name under which this process answers. */
function siblingsOver(link: ProcessLink): Siblings {
  const replies = new Latest<(question: unknown) => unknown>()
  link.answer(SIBLING, async (asked) => {
    const { name, question } = asked as SiblingQuestion
    return await replies.get(name)?.(question)
  })
  return {
    async ask(name, question) {
      const answer = link.ask(SIBLINGS, { name, question } satisfies SiblingQuestion, SIBLINGS_TIMEOUT_MS)
      const told = (await answer.catch((error: unknown) => {
        const cause = IntermixError.from(error)
        throw new IntermixError('NOT_READY', `the other processes of this node cannot be asked: ${cause.message}`)
      })) as Awaited<ReturnType<Siblings['ask']>>
      return told
    },
    answer(name, reply) {
      return replies.offer(name, reply)
    },
  }
}
