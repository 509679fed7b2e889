// Checks and reports the requests of a fastify server: `app.register(intermix, { client })`.

import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import { httpHeaderValue, isCopyableHeader } from '../../kernel/header-value.ts'
import { Guard, type GuardOptions, type Judgement } from './guard.ts'
import { changeHeaders } from './http/header-changes.ts'
import { IncomingCall } from './http/incoming-call.ts'

export type { GuardOptions } from './guard.ts'

/**
 * A plugin: each request to the server it is registered with, below its prefix, is checked before its body is read, and
 * reported when it was answered. Which proxies are believed is fastify's `trustProxy`.
 */
export const intermix: FastifyPluginCallback<GuardOptions<FastifyRequest>> = (app, options, done) => {
  const guard = new Guard(options)
  const calls = new WeakMap<FastifyRequest, IncomingCall<FastifyRequest>>()
  app.addHook('onRequest', (request, reply, next) => {
    if (options.skip?.(request) === true) return next()
    const { raw: message, originalUrl: target, protocol: scheme, ip: client } = request
    const host = request.host === '' ? undefined : request.host
    const call = new IncomingCall(guard, request, { message, target, host, scheme, client })
    calls.set(request, call)
    call.judge((judgement) => (judgement.allowed ? call.proceed(next) : deny(reply, judgement)))
  })
  // Reading the body has come between.
  app.addHook('preHandler', (request, _reply, next) => {
    const call = calls.get(request)
    if (call === undefined) next()
    else call.proceed(next)
  })
  app.addHook('onSend', (request, reply, _payload, next) => {
    const operations = calls.get(request)?.responseHeaders ?? []
    if (operations.length > 0) changeHeaders(headersOf(reply), operations)
    next()
  })
  app.addHook('onResponse', (request, reply, next) => {
    calls.get(request)?.report({ code: reply.statusCode, headers: reply.getHeaders() })
    next()
  })
  done()
}

/** Fastify then registers the hooks with the server itself, and not with a scope below it. */
Object.assign(intermix, { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: 'intermix' })

function deny(reply: FastifyReply, { denial }: Extract<Judgement, { readonly allowed: false }>): void {
  void reply.code(denial.httpStatus).type('text/plain; charset=utf-8')
  for (const [name, value] of denial.headers)
    if (isCopyableHeader(name)) void reply.header(name, httpHeaderValue(value))
  void reply.send(denial.body)
}

function headersOf(reply: FastifyReply) {
  return {
    get: (name: string) => linesOf(reply.getHeader(name)),
    set: (name: string, value: string | string[]) => {
      void reply.removeHeader(name).header(name, value)
    },
    remove: (name: string) => void reply.removeHeader(name),
  }
}

function linesOf(value: number | string | string[] | undefined): string | readonly string[] | undefined {
  return typeof value === 'number' ? String(value) : value
}
