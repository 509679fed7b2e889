import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text as readText } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { config } from '../../src/adapters/http/config.ts'
import http from '../../src/adapters/http/index.ts'
import { createHttpReport } from '../../src/adapters/http/report.ts'
import { Duration } from '../../src/kernel/time.ts'
import { freePort } from '../helpers/ports.ts'
import { realClock } from '../redis/support.ts'

let close: (() => void) | undefined

afterEach(() => close?.())

async function backend(status: number, headers: Record<string, string | undefined> = {}, text = 'thanks') {
  const requests: { headers: IncomingMessage['headers']; body: unknown }[] = []
  const server = createServer((request, response) => {
    void readText(request).then((body) => {
      requests.push({ headers: request.headers, body: JSON.parse(body) })
      response.writeHead(status, headers as Record<string, string>).end(text)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  close = () => server.close()
  return { requests, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/reports` }
}

const call = { batchId: 'b-1', deadline: 0, signal: new AbortController().signal }
const instance = {
  name: 'm',
  template: 'metric',
  fields: { value: 2n, dimensions: { took: Duration.fromMillis(5) } },
} as const
const NOW = Date.UTC(2026, 0, 15, 12)

async function send(url: string, count = 1) {
  const report = createHttpReport(config.parse({ url }), { fetch, clock: { ...realClock, now: () => NOW } })
  return (
    (await report.metric?.(
      Array.from({ length: count }, () => instance),
      call,
    )) ?? undefined
  )
}

describe('report batches over HTTP', () => {
  it('go to an address that can be told without its secrets', () => {
    expect(http.target?.(http.config.parse({ url: 'https://logs.example:8443/in?key=secret' }))).toBe(
      'https://logs.example:8443/in',
    )
  })

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

  it.each([302, 402, 408, 409, 429, 500, 503])('are tried again after HTTP %d', async (status) => {
    const { url } = await backend(status)
    await expect(send(url)).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: true, retryAfterMs: undefined })
  })

  it.each([
    [429, '7', 7000],
    [503, '120', 120_000],
    [429, new Date(NOW + 90_000).toUTCString(), 90_000],
    [503, new Date(NOW - 90_000).toUTCString(), 0],
    [429, 'soon', undefined],
    [500, '7', undefined],
  ])('wait, after HTTP %d, as long as Retry-After (%s) says', async (status, retryAfter, retryAfterMs) => {
    const { url } = await backend(status, { 'retry-after': retryAfter })
    await expect(send(url)).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryAfterMs })
  })

  it.each([400, 401, 403, 404, 405, 410, 414, 415, 422])('are refused for good by HTTP %d', async (status) => {
    const { url } = await backend(status)
    await expect(send(url)).rejects.toMatchObject({ code: 'BACKEND_REFUSED', retryable: false })
  })

  it('are too large after HTTP 413', async () => {
    const { url } = await backend(413)
    await expect(send(url)).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })

  it('are tried again when nobody answers', async () => {
    await expect(send(`http://127.0.0.1:${await freePort()}/`)).rejects.toMatchObject({ retryable: true })
  })

  const json = { 'content-type': 'application/json' }

  it('go by the status alone where the answer is longer than it may be', async () => {
    const long = (status: number, headers = {}) => backend(status, headers, '{'.repeat(100_000))
    expect(await send((await long(200)).url)).toBeUndefined()
    await expect(send((await long(404)).url)).rejects.toMatchObject({ code: 'BACKEND_REFUSED' })
    await expect(send((await long(429, { 'retry-after': '7' })).url)).rejects.toMatchObject({ retryAfterMs: 7000 })
    // What a list says that was not read whole is not known.
    await expect(send((await long(200, json)).url)).rejects.toMatchObject({ code: 'BACKEND_REFUSED' })
  })

  it('are taken in part where the answer says so', async () => {
    const failed = [{ index: 1, reason: 'no label', retry: false, more: 1 }, { index: 0 }, { index: 2, retry: true }]
    const { url } = await backend(200, json, JSON.stringify({ failed }))
    expect(await send(url, 3)).toEqual({
      failed: [
        { index: 1, reason: 'no label', retry: false },
        { index: 0, reason: 'the backend did not take it', retry: false },
        { index: 2, reason: 'the backend did not take it', retry: true },
      ],
    })
  })

  it.each([
    ['text/plain', '{"failed":[{"index":0}]}'],
    ['application/json', '{"failed":0,"taken":3}'],
    ['application/json', '{"failed":[]}'],
    ['application/json', '[1]'],
    ['application/json', 'null'],
    ['application/json', 'no JSON'],
    ['application/json', ''],
  ])('are taken as a whole where an answer of type %s says %s', async (type, body) => {
    const { url } = await backend(200, { 'content-type': type }, body)
    expect((await send(url, 3))?.failed ?? []).toEqual([])
  })

  it.each(['[{"index":3}]', '[{"index":-1}]', '[{}]', '["x"]', '[{"index":0,"retry":"no"}]'])(
    'are not sent again where nobody can tell what was taken: %s',
    async (failed) => {
      const { url } = await backend(200, json, `{"failed":${failed}}`)
      await expect(send(url, 3)).rejects.toMatchObject({
        code: 'BACKEND_REFUSED',
        message: expect.stringContaining('failed.0'),
      })
    },
  )
})
