// What is shed of calls in an overload depends on how many there can be.
import { describe, expect, it } from 'vitest'
import { Code } from '../../../src/kernel/status.ts'
import { fill, handAdmission, overload } from '../admission-support.ts'
import { startNative, WAIT } from './support.ts'

describe('a call in an overload', () => {
  it.each([
    [
      'is answered where all that one connection can have waiting take no longer than the interval',
      0.3,
      255,
      undefined,
    ],
    ['is shed where they take longer', 1, 255, Code.UNAVAILABLE],
    ['is shed where the connection can have more waiting', 0.3, 600, Code.UNAVAILABLE],
  ])('%s', async (_what, callMs, maxConcurrentStreams, code) => {
    const setting = handAdmission()
    const { open, held } = await startNative({ admission: setting.admission, maxConcurrentStreams })
    const client = await open()
    await client.settled()
    overload(setting, callMs)
    // What a turn takes in while a queue stands.
    expect(fill(setting.admission, 500)).toBeLessThan(200)
    const stream = client.call(WAIT, Buffer.from('a'))
    await client.settled()
    held[0]?.answer('b')
    expect((await client.response(stream)).trailers['grpc-status']).toBe(String(code ?? Code.OK))
  })
})
