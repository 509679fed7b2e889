import { beforeEach, describe, expect, it } from 'vitest'
import type { RevocationReceipt } from '../../src/cache/revocation-service.ts'
import type { RevocationTarget } from '../../src/kernel/revocation.ts'
import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import { DEFAULT_LIMITS } from '../../src/kernel/request-limits.ts'
import { explainOperation, revocationsOperation } from '../../src/server/operations.ts'
import { dependencies } from './fixtures.ts'

const RECEIPT: RevocationReceipt = {
  sequence: 1,
  counts: { confirmed: 1, unconfirmed: 0, silent: 0, callers: 0 },
  confirmed: ['n1'],
  unconfirmed: [],
  silent: [],
  callers: [],
  boundMs: 0,
}

interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string; readonly problems: readonly { message: string }[] }
}

const bytes = (json: unknown) => Buffer.from(JSON.stringify(json))

describe('revocations', () => {
  let revoked: RevocationTarget[]
  let receipt: RevocationReceipt

  beforeEach(() => {
    revoked = []
    receipt = RECEIPT
  })

  const post = async (json: unknown) => {
    const given = dependencies()
    const operation = revocationsOperation({
      ...given,
      limits: DEFAULT_LIMITS,
      handlers: () => ['list.handler.shop'],
      async revoke(target) {
        revoked.push(target)
        return receipt
      },
    })
    return await operation({ body: Buffer.isBuffer(json) ? json : bytes(json), query: {} })
  }

  it.each([
    [{ kind: 'all' }],
    [{ kind: 'handler', handler: 'list.handler.shop' }],
    [{ kind: 'attribute', name: 'source.principal', value: 'eve' }],
    [{ kind: 'attribute', name: 'request.headers', key: 'x-user', value: 'eve' }],
  ])('void %j', async (target) => {
    expect(await post(target)).toEqual({ httpStatus: 200, body: RECEIPT })
    expect(revoked).toEqual([target])
  })

  it('of a header are by its name, whatever the case', async () => {
    await post({ kind: 'attribute', name: 'request.headers', key: 'X-User', value: 'Eve' })
    expect(revoked).toEqual([{ kind: 'attribute', name: 'request.headers', key: 'x-user', value: 'Eve' }])
  })

  it('are 202 where a node has not confirmed', async () => {
    receipt = { ...RECEIPT, counts: { ...RECEIPT.counts, unconfirmed: 1 }, unconfirmed: ['n2'] }
    expect(await post({ kind: 'all' })).toEqual({ httpStatus: 202, body: receipt })
  })

  it('are 202 where a sidecar has not confirmed', async () => {
    receipt = { ...RECEIPT, counts: { ...RECEIPT.counts, callers: 1 }, callers: ['s1 (at node n1)'] }
    expect(await post({ kind: 'all' })).toEqual({ httpStatus: 202, body: receipt })
  })

  it.each([
    [{ kind: 'handler', handler: 'lost.handler.shop' }, 'no handler is called "lost.handler.shop". Did you mean'],
    [{ kind: 'attribute', name: 'source.principle', value: 'eve' }, 'Did you mean "source.principal"?'],
    [{ kind: 'attribute', name: 'request.headers', value: 'eve' }, 'is a map'],
    [{ kind: 'attribute', name: 'request.path', key: 'a', value: 'eve' }, 'is no map'],
  ])('are refused for %j, which would revoke nothing', async (target, message) => {
    const { httpStatus, body } = await post(target)
    const { error } = body as ErrorBody
    expect([httpStatus, error.message]).toEqual([400, 'nothing was revoked'])
    expect(error.problems[0]?.message).toContain(message)
    expect(revoked).toEqual([])
  })

  it.each([
    [Buffer.from('{"kind": "all"'), '(line 1 column 15)'],
    [Buffer.alloc(0), 'the body is empty'],
    [Buffer.from('{"kind":"attribute","name":"source.principal","value":"\\ud800"}'), 'half of a surrogate pair'],
    [Buffer.alloc(300_000, ' '), 'more than 262144 bytes'],
  ])('are refused for what is no JSON of text: case %#', async (body, message) => {
    const answer = await post(body)
    expect([answer.httpStatus, (answer.body as ErrorBody).error.message]).toEqual([
      400,
      expect.stringContaining(message) as string,
    ])
  })
})

describe('explain', () => {
  const asked: unknown[] = []
  const given = dependencies()
  const explain = async (bag: AttributeBag, timeoutMs: number, scope: object) => {
    if (bag.get('request.path') === '/bug') throw new TypeError('a bug')
    asked.push([bag.get('request.path'), timeoutMs, scope])
    return { rules: [] }
  }
  const operation = explainOperation({ ...given, limits: DEFAULT_LIMITS, explain })

  it('hands the bag on, and how much to show', async () => {
    const body = bytes({ attributes: { 'request.path': '/a' }, timeoutMs: 5 })
    expect(await operation({ body, query: { limit: '7', rule: 'a.rule.b' } })).toEqual({
      httpStatus: 200,
      body: { rules: [] },
    })
    await operation({ body, query: {} })
    expect(asked).toEqual([
      ['/a', 5, { limit: 7, rule: 'a.rule.b' }],
      ['/a', 5, { rule: undefined }],
    ])
  })

  it.each(['0', '1001', 'many', '-1', '1.5'])('refuses to show %s rules', async (limit) => {
    expect((await operation({ body: bytes({ attributes: {} }), query: { limit } })).httpStatus).toBe(400)
  })

  it('refuses attributes as a check does, and tells no bug', async () => {
    const wrong = await operation({ body: bytes({ attributes: { 'request.pth': '/' } }), query: {} })
    expect([wrong.httpStatus, (wrong.body as ErrorBody).error.problems[0]?.message]).toEqual([
      400,
      'no attribute manifest has this attribute. Did you mean "request.path"?',
    ])
    const bug = await operation({ body: bytes({ attributes: { 'request.path': '/bug' } }), query: {} })
    expect([bug.httpStatus, (bug.body as ErrorBody).error.message]).toEqual([500, 'internal error'])
    expect(given.log.errors).toHaveLength(1)
  })
})
