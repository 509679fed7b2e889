// The conformance suite for HTTP/2 and HPACK, of others: all of it, strict cases included, and none skipped.
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { type Certificates, createCertificates } from '../../helpers/certificates.ts'
import { findGoProgram, GO_PROGRAMS } from '../../helpers/go.ts'
import { spawnChild } from '../../helpers/process.ts'
import { toolOrSkip } from '../../helpers/tools.ts'
import { Served } from './served.ts'

const found = await findGoProgram(GO_PROGRAMS.h2spec)
const mustRun = process.env['CI'] === 'true'
const openssl = toolOrSkip('openssl')

describe.skipIf('missing' in found && !mustRun)(`h2spec${'missing' in found ? `: ${found.missing}` : ''}`, () => {
  let served: Served
  let certificates: Certificates | undefined

  afterEach(async () => {
    await served.stop()
    await certificates?.remove()
  })

  async function conforms(port: number, flags: readonly string[]): Promise<void> {
    if ('missing' in found) throw new Error(found.missing)
    // Seconds that a case waits; the machine may be busy.
    const child = await spawnChild(found.binary, ['-p', String(port), '--strict', '-o', '5', ...flags])
    await child.exited
    const output = child.output()
    const [summary, total = '', passed] = /(\d+) tests, (\d+) passed, 0 skipped, 0 failed/.exec(output) ?? []
    expect(summary, output.slice(output.indexOf('Failures:'))).toBeDefined()
    expect(passed).toBe(total)
    expect(Number(total)).toBeGreaterThan(140)
  }

  it('passes in plain text', async () => {
    served = new Served({ clock: systemClock })
    await served.listen()
    await conforms(served.port, [])
  })

  it.skipIf(openssl === undefined && !mustRun)('passes over TLS', async () => {
    certificates = await createCertificates()
    const { certificate, key } = certificates
    served = new Served({ clock: systemClock, tls: { cert: certificate, key } })
    await served.listen()
    await conforms(served.port, ['--tls', '--insecure'])
  })
})
