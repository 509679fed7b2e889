// Programs of others as clients, in plain text and over TLS. grpc-js and Envoy are the clients of the tests of doors.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { type Certificates, createCertificates } from '../../helpers/certificates.ts'
import { grpcMessage } from '../../helpers/http2/frames.ts'
import { spawnChild } from '../../helpers/process.ts'
import { toolOrSkip } from '../../helpers/tools.ts'
import { ECHO, HOLD, Served } from './served.ts'

const h2load = toolOrSkip('h2load')
const nghttp = toolOrSkip('nghttp')
const openssl = toolOrSkip('openssl')
const mustRun = process.env['CI'] === 'true'
const missing = [h2load, nghttp, openssl].includes(undefined)

const FIELDS = ['-H', 'content-type: application/grpc', '-H', 'te: trailers']

describe.skipIf(missing && !mustRun).each(['http', 'https'] as const)('over %s', (scheme) => {
  let served: Served
  let certificates: Certificates
  let directory: string
  let body: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'intermix-clients-'))
    body = join(directory, 'body')
    await writeFile(body, grpcMessage(Buffer.alloc(600, 'x')))
    certificates = await createCertificates()
    const { certificate, key } = certificates
    served = new Served({ clock: systemClock, ...(scheme === 'https' && { tls: { cert: certificate, key } }) })
    await served.listen()
  })
  afterAll(async () => {
    await served.stop()
    await certificates.remove()
    await rm(directory, { recursive: true, force: true })
  })

  async function output(tool: string | undefined, args: readonly string[], path = ECHO): Promise<string> {
    const child = await spawnChild(tool ?? '', [...args, `${scheme}://127.0.0.1:${served.port}${path}`])
    await child.exited
    return child.output()
  }

  it.each([
    ['many calls at once', ['-c', '4', '-m', '64']],
    ['small windows', ['-c', '2', '-m', '8', '-w', '10', '-W', '12']],
    ['no table of headers', ['-c', '1', '-m', '100', '--header-table-size', '0', '--encoder-header-table-size', '0']],
  ])('h2load: %s', async (_, flags) => {
    const before = served.echoed
    const said = await output(h2load, ['-n', '3000', '-d', body, ...FIELDS, ...flags])
    expect(said).toContain('3000 total, 3000 started, 3000 done, 3000 succeeded, 0 failed, 0 errored, 0 timeout')
    expect(said).toMatch(/status codes: 3000 2xx/)
    expect(served.echoed - before).toBe(3000)
  })

  it('nghttp: headers, message and trailers', async () => {
    const said = await output(nghttp, [
      '--verbose',
      '--null-out',
      '--no-verify-peer',
      '-d',
      body,
      '-H',
      ':method: POST',
      ...FIELDS,
    ])
    expect(said).toMatch(/recv \(stream_id=\d+\) :status: 200/)
    expect(said).toMatch(/recv DATA frame <length=605,/)
    expect(said).toMatch(/recv \(stream_id=\d+\) grpc-status: 0/)
  })

  it('nghttp: who runs out of time is told, padding is read', async () => {
    const slow = ['-H', 'grpc-timeout: 200m', '--padding', '100']
    const said = await output(
      nghttp,
      ['--verbose', '--null-out', '--no-verify-peer', '-d', body, ...FIELDS, ...slow],
      HOLD,
    )
    expect(said).toMatch(/recv \(stream_id=\d+\) grpc-status: 4/)
  })
})
