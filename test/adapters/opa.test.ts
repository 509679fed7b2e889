import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AuthorizationInstance } from '../../src/adapter-kit/templates.ts'
import { createCall, createTestEnvironment } from '../../src/adapter-kit/test-environment.ts'
import { readDecision } from '../../src/adapters/opa/decision.ts'
import opa from '../../src/adapters/opa/index.ts'
import { freePort } from '../helpers/ports.ts'
import { findGoProgram, GO_PROGRAMS } from '../helpers/go.ts'
import { type OpaServer, startOpa } from '../helpers/opa.ts'

const REGO = `package shop

default allow := false
allow if input.subject.user == "alice"
allow if { input.action.method == "GET"; input.action.properties.size < 10 }

detailed := {"allow": true, "validForMs": 1500} if input.subject.user == "alice"
else := {"allow": false, "reason": "only alice", "headers": {"x-reason": "user"}}

sometimes if input.subject.user == "alice"
number := 7
`

const found = await findGoProgram(GO_PROGRAMS.opa)
const mustRun = process.env['CI'] === 'true'

function instanceOf(user: string, action: AuthorizationInstance['fields']['action'] = {}): AuthorizationInstance {
  return { name: 'auth.instance.prod', template: 'authorization', fields: { subject: { user }, action } }
}

async function decide(params: object, instance: AuthorizationInstance) {
  const env = createTestEnvironment({ fetch })
  const config = opa.config.parse(params)
  expect(opa.validate?.(config)).toEqual([])
  const result = await opa.create(config, env).check?.authorization?.(instance, createCall(env))
  if (result === undefined) throw new Error('no answer')
  return result
}

describe.skipIf('missing' in found && !mustRun)(
  `opa against a server${'missing' in found ? `: ${found.missing}` : ''}`,
  () => {
    let server: OpaServer

    beforeAll(async () => {
      if ('missing' in found) throw new Error(found.missing)
      server = await startOpa(found.binary)
      await server.putPolicy('shop', REGO)
    })

    afterAll(() => server?.stop())

    it('allows and denies by a boolean rule, asked in either notation', async () => {
      const allowed = { status: { code: 0, message: '' }, validForMs: 60_000, validUses: 10_000 }
      expect(await decide({ url: server.url, checkMethod: 'data.shop.allow' }, instanceOf('alice'))).toEqual(allowed)
      const denied = await decide({ url: server.url, path: 'shop/allow', validDuration: '5s' }, instanceOf('bob'))
      expect(denied).toEqual({
        status: { code: 7, message: 'denied by shop/allow' },
        validForMs: 5_000,
        validUses: 10_000,
      })
    })

    it('hands properties on with their types', async () => {
      const ask = async (size: bigint) =>
        await decide(
          { url: server.url, path: 'shop/allow' },
          instanceOf('bob', { method: 'GET', properties: { size } }),
        )
      expect((await ask(9n)).status.code).toBe(0)
      expect((await ask(10n)).status.code).toBe(7)
    })

    it('takes reason, validity and headers from an object', async () => {
      const params = { url: server.url, path: 'shop/detailed' }
      expect(await decide(params, instanceOf('alice'))).toMatchObject({ status: { code: 0 }, validForMs: 1_500 })
      expect(await decide(params, instanceOf('bob'))).toMatchObject({
        status: { code: 7, message: 'only alice' },
        directResponse: { code: 0, body: 'only alice', headers: { 'x-reason': 'user' } },
      })
    })

    it('denies where the rule is undefined', async () => {
      const result = await decide({ url: server.url, path: 'shop/sometimes' }, instanceOf('bob'))
      expect(result.status).toMatchObject({ code: 7, message: expect.stringContaining('undefined') })
    })

    it('has no verdict where the result is no decision', async () => {
      const asked = decide({ url: server.url, path: 'shop/number' }, instanceOf('bob'))
      await expect(asked).rejects.toMatchObject({ code: 'BACKEND_REFUSED' })
    })
  },
)

describe('opa', () => {
  it('has no verdict where nobody listens', async () => {
    const asked = decide({ url: `http://127.0.0.1:${await freePort()}`, path: 'shop/allow' }, instanceOf('alice'))
    await expect(asked).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
  })

  it.each(['', 'null', '[', '"text"'])('has no verdict where the answer is %j', (text) => {
    expect(() => readDecision(text, { path: 'p', validForMs: 1, validUses: 1 })).toThrow(
      expect.objectContaining({ code: 'BACKEND_FAILED' }),
    )
  })

  it('refuses embedded Rego and ambiguous or malformed rule names', () => {
    const issuesOf = (params: object) =>
      opa.validate?.(opa.config.parse({ url: 'http://opa', ...params })).map(({ path }) => path[0])
    expect(issuesOf({ policy: ['package a'], path: 'a/b' })).toEqual(['policy'])
    expect(issuesOf({})).toEqual(['path'])
    expect(issuesOf({ path: 'a/b', checkMethod: 'data.a.b' })).toEqual(['path'])
    expect(issuesOf({ checkMethod: 'a.b' })).toEqual(['checkMethod'])
    expect(issuesOf({ path: 'a/../../policies' })).toEqual(['path'])
  })
})
