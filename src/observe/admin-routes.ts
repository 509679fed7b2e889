// What the admin port answers: metrics, health, version, views into the running process, and operations.

import type { IncomingMessage } from 'node:http'
import { IntermixError } from '../kernel/errors.ts'
import { type HttpAnswer, JSON_TYPE, jsonAnswer } from '../kernel/http-answer.ts'
import { asRead, type Operations } from '../kernel/operation.ts'
import type { Logger } from '../kernel/ports.ts'
import { codeName, httpStatusOf } from '../kernel/status.ts'
import type { TlsListener } from '../tls/tls-listener.ts'
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
  /** Default: without TLS. Who may ask is looked at here: it has to admit those without a certificate. */
  readonly tls?: TlsListener | undefined
  /** What `/version` answers. */
  readonly version: Readonly<Record<string, string>>
}

export interface AdminCall {
  /** The last part of the path, where the route leaves it open. */
  readonly name: string
  /** The target as it was sent. */
  readonly url: string
  readonly body: Buffer
}

export interface AdminRoute {
  readonly method: 'GET' | 'PUT' | 'POST'
  /** Ends with `/:name` where it leaves the last part open; a route that names it goes first. */
  readonly path: string
  readonly maxBodyBytes: number
  /** What it throws is answered by `failure`. */
  answer(call: AdminCall): HttpAnswer | Promise<HttpAnswer>
}

const LOG_LEVEL_PATH = '/debug/log-level'
const MAX_BODY_BYTES = 1_024
/** Operations have a bound of their own on attributes, which is a setting. */
const MAX_OPERATION_BYTES = 64 * 1024 * 1024

export function adminRoutes(options: AdminServerOptions): readonly AdminRoute[] {
  const { meter, debug, log, version } = options
  const get = (path: string, answer: AdminRoute['answer']): AdminRoute => ({
    method: 'GET',
    path,
    maxBodyBytes: MAX_BODY_BYTES,
    answer,
  })
  return [
    get('/metrics', async () => {
      return { status: 200, headers: ['content-type', meter.contentType], body: await meter.render() }
    }),
    get('/healthz', () => jsonAnswer(200, { status: 'alive' })),
    get('/readyz', () => readiness(options)),
    get('/version', () => jsonAnswer(200, version)),
    get('/debug', () => {
      const views = [...debug.keys()].sort().map((name) => `/debug/${name}`)
      return jsonAnswer(200, { views, settings: [LOG_LEVEL_PATH] })
    }),
    get(LOG_LEVEL_PATH, () => jsonAnswer(200, { level: log.level })),
    get('/debug/:name', async ({ name }) => await view(options, name)),
    {
      method: 'PUT',
      path: LOG_LEVEL_PATH,
      maxBodyBytes: MAX_BODY_BYTES,
      answer: ({ body }) => setLevel(log, body),
    },
    get('/v1/:name', async (call) => await operate(options, call, asRead(call.name))),
    {
      method: 'POST',
      path: '/v1/:name',
      maxBodyBytes: MAX_OPERATION_BYTES,
      answer: async (call) => await operate(options, call, call.name),
    },
  ]
}

/** Each reason is logged once, and no more than so many: a page can ask as often as it likes. */
const MAX_REASONS_TOLD = 100

/** Probes and scrapers come by any name, and what they get to see is no secret. */
const PROBES: ReadonlySet<string> = new Set(['/metrics', '/healthz', '/readyz', '/version'])

/**
 * Says what is wrong with the head of a request, given the path of its route, if it has one: where certificates are asked for, who has
 * none is refused; so are pages of others, and operations take JSON that is called so, since what a page can send without asking first
 * (`text/plain`, a form) is none.
 */
export function adminGate(options: AdminServerOptions) {
  const { hosts = [], log, tls } = options
  const names = new Set(hosts.map((name) => name.toLowerCase()))
  const told = new Set<string>()
  return ({ headers, method, url, socket }: IncomingMessage, path: string): HttpAnswer | undefined => {
    if (tls?.letsIn(socket) === false) return answerUnproven(options, path)
    const reason = PROBES.has(path) ? undefined : foreignPage(headers, names)
    if (reason === undefined) {
      if (method !== 'POST' || path === '' || /^application\/json\s*(;|$)/i.test(headers['content-type'] ?? ''))
        return undefined
      return refusal('send JSON, with the header content-type: application/json', 415)
    }
    if (told.size < MAX_REASONS_TOLD && !told.has(reason)) {
      told.add(reason)
      log.warn({ path: url, peer: socket.remoteAddress }, `an admin request was refused: ${reason}`)
    }
    return jsonAnswer(403, { code: 'PERMISSION_DENIED', message: reason })
  }
}

const UNPROVEN =
  'this port wants a client certificate of an authority that it knows (--admin-tls-client-ca), with a name that is let in (--admin-tls-client-names)'

/** Kubelet and load balancers have no certificate to show: they hear yes or no, and of what there is in the process nothing. */
function answerUnproven({ health }: AdminServerOptions, path: string): HttpAnswer | undefined {
  if (path === '/healthz') return undefined
  if (path !== '/readyz') return jsonAnswer(401, { code: 'UNAUTHENTICATED', message: UNPROVEN })
  return health.ready ? jsonAnswer(200, { status: 'ready' }) : jsonAnswer(503, { status: 'not ready' })
}

/** Answers what went wrong, and logs it where the process itself has failed. */
export function failure({ log }: AdminServerOptions, caught: unknown, url: string | undefined): HttpAnswer {
  const error = IntermixError.from(caught)
  if (httpStatusOf(error.status.code) >= 500) log.warn({ err: caught, path: url }, 'an admin request failed')
  return problem(error)
}

export const tooLarge = (): HttpAnswer => refusal('the body is too large', 413)

/** Answers a request that is not valid. */
export function refusal(message: string, httpStatus: number): HttpAnswer {
  return problem(invalid(message), httpStatus)
}

export function nothingHere({ method, url }: Pick<IncomingMessage, 'method' | 'url'>): HttpAnswer {
  return problem(new IntermixError('NOT_FOUND', `no ${method} ${url} here; see /debug`))
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
  { name: asked, url, body }: AdminCall,
  name: string,
): Promise<HttpAnswer> {
  const operation = operations.get(name)
  if (operation === undefined) {
    const names = [...operations.keys()].sort().join(', ')
    const known = names === '' ? 'this process has none, or is still starting' : `there are: ${names}`
    throw new IntermixError('NOT_FOUND', `there is no ${name === asked ? 'POST' : 'GET'} /v1/${asked} here; ${known}`)
  }
  const query = Object.fromEntries(new URLSearchParams(url.split('?')[1] ?? ''))
  const { httpStatus, body: answered } = await operation({ body, query })
  return jsonAnswer(httpStatus, answered)
}

function setLevel(log: AdminServerOptions['log'], body: Buffer): HttpAnswer {
  const level = readLevel(body.toString('utf8'))
  if (level === undefined) throw invalid(`send one of ${LOG_LEVELS.join(', ')}, plain or as {"level": "debug"}`)
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

const invalid = (message: string): IntermixError => new IntermixError('INVALID_REQUEST', message)

function problem({ status: { code, message } }: IntermixError, status = httpStatusOf(code)): HttpAnswer {
  return jsonAnswer(status, { code: codeName(code), message })
}
