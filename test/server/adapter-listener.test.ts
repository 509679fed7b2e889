import { request } from 'node:http'
import { text as textOf } from 'node:stream/consumers'
import { createGunzip } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AdapterListener, createAdapterListener } from '../../src/server/adapter-listener.ts'
import { KeptLog } from '../redis/support.ts'

let listener: AdapterListener
let log: KeptLog
let port: number

beforeEach(async () => {
  log = new KeptLog()
  listener = createAdapterListener(log)
  port = Number((await listener.listen({ host: '127.0.0.1', port: 0 })).split(':')[1])
})

afterEach(async () => await listener.close())

/** One request, its answer as it came. */
async function ask(path: string, headers: Record<string, string> = {}, method = 'GET') {
  return await new Promise<{ status?: number; headers: NodeJS.Dict<string | string[]>; body: string }>(
    (resolve, reject) => {
      const sent = request({ port, path, method, headers, agent: false }, (answer) => {
        const body = answer.headers['content-encoding'] === 'gzip' ? answer.pipe(createGunzip()) : answer
        textOf(body).then(
          (text) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }),
          reject,
        )
      })
      sent.on('error', reject)
      sent.end()
    },
  )
}

const TYPE = 'text/plain; version=0.0.4; charset=utf-8'
const part = (key: string, ...body: string[]) => ({ key, head: `# ${key}\n`, body })

describe('the listener of adapters', () => {
  it('joins parts of one key from several handlers under the head of the first', async () => {
    listener.expose('/metrics', TYPE, () => [part('a', 'a 1\n'), part('b', 'b 1\n', 'b 2\n')], 'one')
    listener.expose('/metrics', TYPE, () => Promise.resolve([part('b', 'b 3\n'), part('c', 'c ä\n')]), 'two')
    listener.expose('/metrics', TYPE, () => 'whole 1\n', 'three')
    const { status, headers, body } = await ask('/metrics')
    expect(body).toBe('# a\na 1\n# b\nb 1\nb 2\nb 3\n# c\nc ä\nwhole 1\n')
    expect(status).toBe(200)
    expect(headers).toMatchObject({ 'content-type': TYPE, 'content-length': String(Buffer.byteLength(body)) })
  })

  it('lets a handler replace what it offers, and take back no more than that', async () => {
    const endFirst = listener.expose('/metrics', TYPE, () => 'old\n', 'one')
    const endSecond = listener.expose('/metrics', TYPE, () => 'new\n', 'one')
    endFirst()
    expect((await ask('/metrics')).body).toBe('new\n')
    endSecond()
    expect(await ask('/metrics')).toMatchObject({ status: 404 })
  })

  it('offers again what was there before, where a config is gone back to', async () => {
    const endFirst = listener.expose('/metrics', TYPE, () => 'stable\n', 'one')
    const endSecond = listener.expose('/metrics', TYPE, () => 'candidate\n', 'one')
    expect((await ask('/metrics')).body).toBe('candidate\n')
    endSecond()
    endSecond()
    expect((await ask('/metrics')).body).toBe('stable\n')
    endFirst()
    expect(await ask('/metrics')).toMatchObject({ status: 404 })
  })

  it.each([
    ['gzip', true],
    ['deflate, gzip;q=0.5', true],
    ['*', true],
    ['br', false],
    ['gzip;q=0', false],
    ['x-gzip', false],
  ])('compresses for those who take it (%s)', async (accepted, compressed) => {
    const whole = 'a_line_that_comes_again{in="order"} 1\n'.repeat(5000)
    listener.expose('/metrics', TYPE, () => [{ key: 'a', head: '', body: [whole, whole] }], 'one')
    const { headers, body } = await ask('/metrics', { 'accept-encoding': accepted })
    expect(headers['content-encoding']).toBe(compressed ? 'gzip' : undefined)
    expect(headers).toMatchObject({ 'content-type': TYPE, vary: 'accept-encoding' })
    expect(body === whole + whole).toBe(true)
  })

  it('sends what is large in pieces', async () => {
    const body = Array.from({ length: 100 }, (_, i) => `ä ${i} ${'x'.repeat(16_000)}\n`)
    listener.expose('/metrics', TYPE, () => [{ key: 'a', head: '', body }], 'one')
    expect((await ask('/metrics')).body === body.join('')).toBe(true)
    expect(await ask('/metrics', {}, 'HEAD')).toMatchObject({ status: 200, body: '' })
  })

  it('answers HEAD as GET without the body, and nothing else', async () => {
    listener.expose('/metrics', TYPE, () => 'text\n', 'one')
    expect(await ask('/metrics', {}, 'HEAD')).toMatchObject({
      status: 200,
      body: '',
      headers: { 'content-type': TYPE, 'content-length': '5' },
    })
    expect((await ask('/metrics', {}, 'POST')).status).toBe(404)
  })

  it('says 503 where nothing can be rendered', async () => {
    listener.expose('/metrics', TYPE, () => Promise.reject(new Error('no Redis so far')), 'one')
    expect((await ask('/metrics')).status).toBe(503)
    expect(log.lines).toHaveLength(1)
  })
})
