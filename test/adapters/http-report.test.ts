import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { config } from '../../src/adapters/http/config.ts'
import { createHttpReport } from '../../src/adapters/http/report.ts'
import { Duration } from '../../src/kernel/time.ts'
import { freePort } from '../helpers/ports.ts'
import { realClock } from '../redis/support.ts'

let close: (() => void) | undefined

afterEach(() => close?.())

async function backend(status: number) {
  const requests: { headers: IncomingMessage['headers']; body: unknown }[] = []
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      requests.push({ headers: request.headers, body: JSON.parse(body) })
      response.writeHead(status).end('thanks')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  close = () => server.close()
  return { requests, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/reports` }
}

const call = { batchId: 'b-1', deadline: 0, signal: new AbortController().signal }
const instances = [
  { name: 'm', template: 'metric', fields: { value: 2n, dimensions: { took: Duration.fromMillis(5) } } },
]

async function send(url: string): Promise<void> {
  const report = createHttpReport(config.parse({ url }), { fetch, clock: realClock })
  await report.metric?.(instances, call)
}

describe('report batches over HTTP', () => {
  it('carry the batch id, the template and all instances', async () => {
    const { requests, url } = await backend(202)
    await send(url)
    expect(requests[0]?.headers['idempotency-key']).toBe('b-1')
    expect(requests[0]?.body).toEqual({
      batchId: 'b-1',
      template: 'metric',
      instances: [{ name: 'm', fields: { value: 2, dimensions: { took: '5ms' } } }],
    })
  })

  it.each([408, 429, 500, 503])('are tried again after HTTP %d', async (status) => {
    const { url } = await backend(status)
    await expect(send(url)).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: true })
  })

  it.each([302, 400, 413, 422])('are refused for good by HTTP %d', async (status) => {
    const { url } = await backend(status)
    await expect(send(url)).rejects.toMatchObject({ code: 'BACKEND_REFUSED', retryable: false })
  })

  it('are tried again when nobody answers', async () => {
    await expect(send(`http://127.0.0.1:${await freePort()}/`)).rejects.toMatchObject({ retryable: true })
  })
})
