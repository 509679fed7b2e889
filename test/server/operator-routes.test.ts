import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RevocationTarget } from '../../src/cache/revocations.ts'
import { createHttpServer, type HttpServer } from '../../src/server/http.ts'
import { revocationsRoute } from '../../src/server/operator-routes.ts'
import { dependencies } from './fixtures.ts'

const RECEIPT = { sequence: 1, confirmed: ['n1'], unconfirmed: [], silent: [], boundMs: 0 }

describe('POST /v1/revocations', () => {
  let server: HttpServer
  let revoked: RevocationTarget[]

  beforeEach(() => {
    const given = dependencies()
    revoked = []
    const route = revocationsRoute({
      check: given.check,
      handlers: () => ['list.handler.shop'],
      async revoke(target) {
        revoked.push(target)
        return RECEIPT
      },
    })
    server = createHttpServer({ ...given, routes: [route] })
  })
  afterEach(() => server.drain(1_000))

  const post = (payload: object) => server.app.inject({ method: 'POST', url: '/v1/revocations', payload })

  it.each([
    [{ kind: 'all' }],
    [{ kind: 'handler', handler: 'list.handler.shop' }],
    [{ kind: 'attribute', name: 'source.principal', value: 'eve' }],
    [{ kind: 'attribute', name: 'request.headers', key: 'x-user', value: 'eve' }],
  ])('revokes %j', async (target) => {
    const response = await post(target)
    expect(response.statusCode).toBe(200)
    expect(response.json()).toEqual(RECEIPT)
    expect(revoked).toEqual([target])
  })

  it.each([
    [{ kind: 'handler', handler: 'lost.handler.shop' }, 'no handler is called "lost.handler.shop". Did you mean'],
    [{ kind: 'attribute', name: 'source.principle', value: 'eve' }, 'Did you mean "source.principal"?'],
    [{ kind: 'attribute', name: 'request.headers', value: 'eve' }, 'is a map'],
    [{ kind: 'attribute', name: 'request.path', key: 'a', value: 'eve' }, 'is no map'],
  ])('refuses %j, which would revoke nothing', async (target, message) => {
    const response = await post(target)
    expect(response.statusCode).toBe(400)
    expect(response.body).toContain('nothing was revoked')
    expect(response.json<{ error: { problems: { message: string }[] } }>().error.problems[0]?.message).toContain(
      message,
    )
    expect(revoked).toEqual([])
  })
})
