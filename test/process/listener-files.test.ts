// TLS of a process: its admin port, and files that cannot be used.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { type RoleHost, runRole, type StopCause } from '../../src/process/run-role.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { type Certificates, createCertificates } from '../helpers/certificates.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { ask, clientOf } from '../tls/support.ts'

describe.skipIf(toolOrSkip('openssl') === undefined).each(['all', 'sidecar'] as const)('TLS of a role: %s', (role) => {
  let own: Certificates
  beforeAll(async () => {
    own = await createCertificates()
  })
  afterAll(() => own.remove())

  function launch(...argv: string[]) {
    const needed = role === 'sidecar' ? ['--nodes=a:1'] : ['--config=examples', '--redis=none']
    const read = readSettings(role, [...needed, '--admin-address=127.0.0.1:0', ...argv], {})
    if ('problems' in read) throw new Error(read.problems.join('\n'))
    const errors: string[] = []
    const started = Promise.withResolvers<string>()
    let signal: (cause: StopCause) => void = () => {}
    const host: RoleHost = {
      createProcess: async () => ({
        start: async () => ({ addresses: {} }),
        stop: async () => {},
        debug: new Map(),
      }),
      announce: ({ addresses }) => started.resolve(addresses['admin'] ?? ''),
      clock: systemClock,
      random: () => 0.5,
      version: '9.9.9',
      searchPath: '',
      terminal: false,
      write: () => {},
      err: (text) => errors.push(text),
      onSignal: (listener) => {
        signal = listener
      },
      onCrash: () => {},
      onLibraryOutput: () => {},
      exit: () => {},
    }
    const ended = runRole(read.settings, host)
    return { ended, errors, started: started.promise, stop: () => signal('SIGTERM') }
  }

  it('is that of its admin port, whose metrics tell of it', async () => {
    const files = [`--admin-tls-cert=${own.certificate}`, `--admin-tls-key=${own.key}`]
    const run = launch(...files, `--admin-tls-client-ca=${own.authority}`)
    const port = Number((await run.started).split(':').at(-1))
    const tls = await clientOf(own)
    expect((await ask({ port, path: '/readyz', tls })).text).toBe('{"status":"ready"}')
    expect((await ask({ port, path: '/metrics', tls })).status).toBe(401)
    const { text } = await ask({ port, path: '/metrics', tls: await clientOf(own, own) })
    expect(text).toMatch(/^intermix_tls_certificate_end_seconds\{listener="admin"\} \d{10}$/m)
    run.stop()
    expect(await run.ended).toBe(0)
  })

  it('is refused for all that is wrong with the files of all listeners at once', async () => {
    const half = (listener: string) => [`--${listener}-tls-cert=nowhere`, `--${listener}-tls-key=${own.certificate}`]
    const run = launch(...half('grpc'), ...half('http'), ...half('admin'))
    expect(await run.ended).toBe(2)
    const flags = run.errors.join('\n').matchAll(/--[a-z-]+(?=: )/g)
    expect([...flags].map(String)).toEqual(
      ['grpc', 'http', 'admin'].flatMap((listener) => [`--${listener}-tls-cert`, `--${listener}-tls-key`]),
    )
  })
})
