import { describe, expect, it } from 'vitest'
import audit from '../../examples/adapters/audit.ts'
import { adapterConformance, createCall, createTestEnvironment, type Instance } from '../../src/adapter-kit/index.ts'
import { startHttpBackend } from '../helpers/http-backend.ts'

/** A backend that takes everything, and minds when it is given up. */
const taking: typeof fetch = async (_url, init) => {
  init?.signal?.throwIfAborted()
  return new Response(null, { status: 202 })
}

describe('the sample of a plug-in worker', () => {
  it.each(adapterConformance(audit, { params: { url: 'http://audit.example/' }, fetch: taking }))('$name', ({ run }) =>
    run(),
  )

  it('posts a line for each record, and says by what it throws whether the batch may be tried again', async () => {
    const backend = await startHttpBackend(() => ({ status: 202 }))
    try {
      const env = createTestEnvironment({ fetch })
      const handler = audit.create({ url: backend.url }, env)
      const instances: Instance[] = [1n, 2n].map((n) => ({
        name: 'a',
        template: 'logentry',
        fields: { variables: { n } },
      }))
      const send = async () => handler.report?.logentry?.(instances, { ...createCall(env), batchId: 'b-1' })
      await send()
      expect(backend.requests[0]).toMatchObject({ body: '{"n":1}\n{"n":2}\n', headers: { 'idempotency-key': 'b-1' } })
      backend.answerWith(() => ({ status: 400 }))
      await expect(send()).rejects.toMatchObject({ code: 'BACKEND_REFUSED' })
      backend.answerWith(() => ({ status: 503 }))
      await expect(send()).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
    } finally {
      await backend.close()
    }
  })
})
