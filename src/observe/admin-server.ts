// The admin server: metrics, health, version and views into the running process, on a port of its own so that traffic
// cannot starve it and callers cannot reach it.

import type { IncomingMessage } from 'node:http'
import { IntermixError } from '../kernel/errors.ts'
import { type HttpAnswer, JSON_TYPE, jsonAnswer, pathOf, receiveBody, sendAnswer } from '../kernel/http-answer.ts'
import { http } from '../kernel/late-modules.ts'
import type { Operations } from '../kernel/operation.ts'
import type { Logger } from '../kernel/ports.ts'
import { codeName, httpStatusOf } from '../kernel/status.ts'
import { debugJson } from './debug-json.ts'
import { foreignPage } from './foreign-page.ts'
import type { Health } from './health.ts'
import { LOG_LEVELS, type LogLevel } from './logger.ts'
import type { PrometheusMeter } from './meter.ts'

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
/** How long a request may take to come. */
const REQUEST_MS = 10_000

export function createAdminServer(options: AdminServerOptions): AdminServer {
  const { log } = options
  const isForeign = foreignPages(options)
  const fail = (caught: unknown, { url }: IncomingMessage): HttpAnswer => {
    const error = IntermixError.from(caught)
    if (httpStatusOf(error.status.code) >= 500) log.warn({ err: caught, path: url }, 'an admin request failed')
    return problem(error)
  }
  const server = http().createServer({ requestTimeout: REQUEST_MS }, (request, response) => {
    const path = pathOf(request.url ?? '/') ?? ''
    const refused = isForeign(request, path) ?? unfit(request, path)
    if (refused !== undefined) return sendAnswer(response, refused)
    receiveBody(request, path.startsWith(OPERATIONS) ? MAX_OPERATION_BYTES : MAX_BODY_BYTES, (body) => {
      const answered =
        body === undefined
          ? Promise.resolve(problem(new IntermixError('INVALID_REQUEST', 'the body is too large'), 413))
          : answer(options, request, path, body).catch((caught: unknown) => fail(caught, request))
      void answered.then((later) => sendAnswer(response, later))
    })
  })
  return {
    async listen({ host, port }) {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ host: host.replace(/^\[|\]$/g, ''), port }, resolve)
      })
      const bound = server.address()
      if (bound === null || typeof bound === 'string') return `${host}:${port}`
      return bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

/** Each reason is logged once, and no more than so many: a page can ask as often as it likes. */
const MAX_REASONS_TOLD = 100

/** Probes and scrapers come by any name, and what they get to see is no secret. */
const PROBES: ReadonlySet<string> = new Set(['/metrics', '/healthz', '/readyz', '/version'])

function foreignPages({ hosts = [], log }: AdminServerOptions) {
  const names = new Set(hosts.map((name) => name.toLowerCase()))
  const told = new Set<string>()
  return ({ headers, url, socket }: IncomingMessage, path: string): HttpAnswer | undefined => {
    const reason = PROBES.has(path) ? undefined : foreignPage(headers, names)
    if (reason === undefined) return undefined
    if (told.size < MAX_REASONS_TOLD && !told.has(reason)) {
      told.add(reason)
      log.warn({ path: url, peer: socket.remoteAddress }, `an admin request was refused: ${reason}`)
    }
    return jsonAnswer(403, { code: 'PERMISSION_DENIED', message: reason })
  }
}

const OPERATIONS = '/v1/'

/** Operations take JSON that is called so: what a page can send without asking first (`text/plain`, a form) is none. */
function unfit({ method, headers }: IncomingMessage, path: string): HttpAnswer | undefined {
  if (method !== 'POST' || !path.startsWith(OPERATIONS)) return undefined
  if (/^application\/json\s*(;|$)/i.test(headers['content-type'] ?? '')) return undefined
  return problem(new IntermixError('INVALID_REQUEST', 'send JSON, with the header content-type: application/json'), 415)
}

async function answer(
  options: AdminServerOptions,
  request: IncomingMessage,
  path: string,
  body: Buffer,
): Promise<HttpAnswer> {
  const { meter, version, log } = options
  const { method, url = '/' } = request
  if (method === 'POST' && path.startsWith(OPERATIONS)) return await operate(options, path, url, body)
  if (method === 'PUT' && path === LOG_LEVEL_PATH) return setLevel(log, body)
  if (method !== 'GET' && method !== 'HEAD') throw nothingHere(request)
  switch (path) {
    case '/metrics':
      return { status: 200, headers: ['content-type', meter.contentType], body: await meter.render() }
    case '/healthz':
      return jsonAnswer(200, { status: 'alive' })
    case '/readyz':
      return readiness(options)
    case '/version':
      return jsonAnswer(200, version)
    case '/debug':
      return jsonAnswer(200, {
        views: [...options.debug.keys()].sort().map((name) => `/debug/${name}`),
        settings: [LOG_LEVEL_PATH],
      })
    case LOG_LEVEL_PATH:
      return jsonAnswer(200, { level: log.level })
  }
  if (path.startsWith('/debug/')) return await view(options, path.slice('/debug/'.length))
  throw nothingHere(request)
}

function readiness({ health }: AdminServerOptions): HttpAnswer {
  const checks = health.checks()
  if (health.ready) return jsonAnswer(200, { status: 'ready', checks })
  const reasons = checks.filter((check) => !check.ok).map((check) => `${check.name}: ${check.detail}`)
  return jsonAnswer(503, { status: 'not ready', reasons, checks })
}

async function view({ debug }: AdminServerOptions, name: string): Promise<HttpAnswer> {
  const found = debug.get(name)
  if (found === undefined) {
    const names = [...debug.keys()].sort().join(', ')
    throw new IntermixError('NOT_FOUND', `no view is called "${name}"; there are: ${names}`)
  }
  return { status: 200, headers: ['content-type', JSON_TYPE], body: debugJson(await found()) }
}

async function operate(
  { operations = new Map() }: AdminServerOptions,
  path: string,
  url: string,
  body: Buffer,
): Promise<HttpAnswer> {
  const name = path.slice(OPERATIONS.length)
  const operation = operations.get(name)
  if (operation === undefined) {
    const names = [...operations.keys()].sort().join(', ')
    const known = names === '' ? 'this process has none, or is still starting' : `there are: ${names}`
    throw new IntermixError('NOT_FOUND', `there is no POST /v1/${name} here; ${known}`)
  }
  const query = Object.fromEntries(new URLSearchParams(url.split('?')[1] ?? ''))
  const { httpStatus, body: answered } = await operation({ body, query })
  return jsonAnswer(httpStatus, answered)
}

function setLevel(log: AdminServerOptions['log'], body: Buffer): HttpAnswer {
  const level = readLevel(body.toString('utf8'))
  if (level === undefined) {
    const allowed = LOG_LEVELS.join(', ')
    throw new IntermixError('INVALID_REQUEST', `send one of ${allowed}, plain or as {"level": "debug"}`)
  }
  const before = log.level
  log.level = level
  log.warn({ before, level }, 'the log level was changed')
  return jsonAnswer(200, { level })
}

/** Plain, or as JSON; `curl -X PUT -d debug` calls either a form. */
function readLevel(text: string): LogLevel | undefined {
  const named = text.trimStart().startsWith('{') ? levelIn(text) : text.trim()
  return LOG_LEVELS.find((level) => level === named)
}

function levelIn(text: string): unknown {
  try {
    return (JSON.parse(text) as { readonly level?: unknown }).level
  } catch {
    return undefined
  }
}

function nothingHere({ method, url }: IncomingMessage): IntermixError {
  return new IntermixError('NOT_FOUND', `no ${method} ${url} here; see /debug`)
}

function problem({ status: { code, message } }: IntermixError, status = httpStatusOf(code)): HttpAnswer {
  return jsonAnswer(status, { code: codeName(code), message })
}
