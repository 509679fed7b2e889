// What our servers on Fastify have in common.

import type { FastifyReply, FastifyServerOptions } from 'fastify'
import { IntermixError } from '../kernel/errors.ts'
import { type HttpAnswer, WITHOUT_BODY } from '../kernel/http-answer.ts'

const refuse = (): never => {
  throw new IntermixError('INTERNAL', 'this server takes no routes with schemas')
}

/**
 * An option of Fastify for servers whose routes have no schemas: bodies are read by code of ours. Fastify would load a compiler of
 * JSON schemas all the same. A route with a schema makes the start fail.
 */
export const WITHOUT_SCHEMAS: NonNullable<FastifyServerOptions['schemaController']> = {
  compilersFactory: { buildValidator: refuse, buildSerializer: refuse },
}

/** Sends an answer by Fastify. */
export function replyWith(reply: FastifyReply, { status, headers, body }: HttpAnswer): void {
  for (let at = 0; at < headers.length; at += 2) {
    const [name, value = ''] = [String(headers[at]), headers[at + 1]]
    const before = name === 'set-cookie' ? undefined : reply.getHeader(name)
    // Fastify puts only lines of set-cookie together by itself.
    reply.header(name, before === undefined ? value : [before, value].flat().map(String))
  }
  // Of bytes Fastify leaves the type as it is; where there are none, it would say one.
  reply.code(status).send(body === '' || WITHOUT_BODY.has(status) ? undefined : Buffer.from(body))
}
