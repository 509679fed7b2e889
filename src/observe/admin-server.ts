// The admin server: metrics, health, version and views into the running process, on a port of its own so that traffic
// cannot starve it and callers cannot reach it.

import { fastify, type FastifyInstance, type FastifyReply } from 'fastify'
import { IntermixError } from '../kernel/errors.ts'
import type { Operations } from '../kernel/operation.ts'
import type { Logger } from '../kernel/ports.ts'
import { codeName, httpStatusOf } from '../kernel/status.ts'
import { debugJson } from './debug-json.ts'
import { foreignPage } from './foreign-page.ts'
import type { Health } from './health.ts'
import { LOG_LEVELS, type LogLevel } from './logger.ts'
import type { PrometheusMeter } from './meter.ts'
import { WITHOUT_SCHEMAS } from './without-schemas.ts'

export interface AdminServerOptions {
  readonly meter: Pick<PrometheusMeter, 'render' | 'contentType'>
  readonly health: Pick<Health, 'ready' | 'checks'>
  /** Views by name. Read at each request, so views may be added later. */
  readonly debug: ReadonlyMap<string, () => unknown>
  /** What can be asked for by `POST /v1/<name>`. Read at each request, as views are. */
  readonly operations?: Operations
  /** Further names by which browsers may call this port. */
  readonly hosts?: readonly string[]
  /** The level of this logger is what `PUT /debug/log-level` changes. */
  readonly log: Logger & { level: LogLevel }
  /** What `/version` answers. */
  readonly version: Readonly<Record<string, string>>
}

export interface AdminServer {
  /** Listens; port 0 takes a free one. @returns the address as `host:port`. Rejects when the port is taken. */
  listen(address: { readonly host: string; readonly port: number }): Promise<string>
  /** Ends open connections; safe without `listen` and safe twice. */
  close(): Promise<void>
}

const LOG_LEVEL_PATH = '/debug/log-level'
const MAX_BODY_BYTES = 1_024
/** Operations have a bound of their own on attributes, which is a setting. */
const MAX_OPERATION_BYTES = 64 * 1024 * 1024

export function createAdminServer(options: AdminServerOptions): AdminServer {
  const app = fastify({
    schemaController: WITHOUT_SCHEMAS,
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    requestTimeout: 10_000,
  })
  refuseForeignPages(app, options)
  addProbes(app, options)
  addOperations(app, options)
  addViews(app, options)
  addLogLevel(app, options.log)
  app.setNotFoundHandler((request, reply) => {
    sendProblem(reply, new IntermixError('NOT_FOUND', `no ${request.method} ${request.url} here; see /debug`))
  })
  app.setErrorHandler((error, request, reply) => {
    const status = (error as { statusCode?: number }).statusCode
    if (status !== undefined && status < 500) {
      sendProblem(reply, new IntermixError('INVALID_REQUEST', (error as Error).message))
      return
    }
    options.log.warn({ err: error, path: request.url }, 'an admin request failed')
    sendProblem(reply, IntermixError.from(error))
  })
  return {
    async listen({ host, port }) {
      await app.listen({ host, port })
      const bound = app.server.address()
      if (bound === null || typeof bound === 'string') return `${host}:${port}`
      return bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`
    },
    close: async () => await app.close(),
  }
}

/** Each reason is logged once, and no more than so many: a page can ask as often as it likes. */
const MAX_REASONS_TOLD = 100

/** Probes and scrapers come by any name, and what they get to see is no secret. */
const PROBES: ReadonlySet<string | undefined> = new Set(['/metrics', '/healthz', '/readyz', '/version'])

function refuseForeignPages(app: FastifyInstance, { hosts = [], log }: AdminServerOptions): void {
  const names = new Set(hosts.map((name) => name.toLowerCase()))
  const told = new Set<string>()
  app.addHook('onRequest', (request, reply, done) => {
    const reason = PROBES.has(request.routeOptions.url) ? undefined : foreignPage(request.headers, names)
    if (reason === undefined) return done()
    if (told.size < MAX_REASONS_TOLD && !told.has(reason)) {
      told.add(reason)
      log.warn({ path: request.url, peer: request.ip }, `an admin request was refused: ${reason}`)
    }
    reply.code(403).send({ code: 'PERMISSION_DENIED', message: reason })
  })
}

/** Operations take JSON that is called so: what a page can send without asking first (`text/plain`, a form) is none. */
function addOperations(app: FastifyInstance, { operations = new Map() }: AdminServerOptions): void {
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    scope.addHook('onRequest', async (request, reply) => {
      if (/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) return
      const error = new IntermixError('INVALID_REQUEST', 'send JSON, with the header content-type: application/json')
      await sendProblem(reply, error, 415)
    })
    scope.post<{ Params: { name: string } }>(
      '/v1/:name',
      { bodyLimit: MAX_OPERATION_BYTES },
      async (request, reply) => {
        const { name } = request.params
        const operation = operations.get(name)
        if (operation === undefined) {
          const names = [...operations.keys()].sort().join(', ')
          const known = names === '' ? 'this process has none, or is still starting' : `there are: ${names}`
          return sendProblem(reply, new IntermixError('NOT_FOUND', `there is no POST /v1/${name} here; ${known}`))
        }
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
        const answer = await operation({ body, query: request.query as Readonly<Record<string, unknown>> })
        return await reply.code(answer.httpStatus).send(answer.body)
      },
    )
  })
}

function addProbes(app: FastifyInstance, { meter, health, version }: AdminServerOptions): void {
  app.get('/metrics', async (_request, reply) => {
    const text = await meter.render()
    return reply.header('content-type', meter.contentType).send(text)
  })
  app.get('/healthz', async () => ({ status: 'alive' }))
  app.get('/readyz', async (_request, reply) => {
    const checks = health.checks()
    if (health.ready) return { status: 'ready', checks }
    const reasons = checks.filter((check) => !check.ok).map((check) => `${check.name}: ${check.detail}`)
    return reply.code(503).send({ status: 'not ready', reasons, checks })
  })
  app.get('/version', async () => version)
}

function addViews(app: FastifyInstance, { debug }: AdminServerOptions): void {
  app.get('/debug', async () => ({
    views: [...debug.keys()].sort().map((name) => `/debug/${name}`),
    settings: [LOG_LEVEL_PATH],
  }))
  app.get<{ Params: { name: string } }>('/debug/:name', async (request, reply) => {
    const { name } = request.params
    const view = debug.get(name)
    if (view === undefined) {
      const names = [...debug.keys()].sort().join(', ')
      return sendProblem(reply, new IntermixError('NOT_FOUND', `no view is called "${name}"; there are: ${names}`))
    }
    return reply.type('application/json; charset=utf-8').send(debugJson(await view()))
  })
}

function addLogLevel(app: FastifyInstance, log: Logger & { level: LogLevel }): void {
  app.addContentTypeParser('text/plain', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  // What `curl -X PUT -d debug` sends.
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
    done(null, body),
  )
  app.get(LOG_LEVEL_PATH, async () => ({ level: log.level }))
  app.put(LOG_LEVEL_PATH, async (request, reply) => {
    const level = readLevel(request.body)
    if (level === undefined) {
      const allowed = LOG_LEVELS.join(', ')
      return sendProblem(
        reply,
        new IntermixError('INVALID_REQUEST', `send one of ${allowed}, plain or as {"level": "debug"}`),
      )
    }
    const before = log.level
    log.level = level
    log.warn({ before, level }, 'the log level was changed')
    return { level }
  })
}

function readLevel(body: unknown): LogLevel | undefined {
  const named = typeof body === 'object' && body !== null ? (body as { level?: unknown }).level : body
  return LOG_LEVELS.find((level) => level === (typeof named === 'string' ? named.trim() : named))
}

function sendProblem(reply: FastifyReply, error: IntermixError, httpStatus?: number): FastifyReply {
  const { code, message } = error.status
  return reply.code(httpStatus ?? httpStatusOf(code)).send({ code: codeName(code), message })
}
