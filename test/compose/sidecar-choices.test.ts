import { describe, expect, it } from 'vitest'
import { sidecarChoices } from '../../src/compose/sidecar-choices.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { KeptLog } from '../redis/support.ts'

describe('what a sidecar is told of nodes', () => {
  const choices = (...flags: readonly string[]) => {
    const read = readSettings('sidecar', flags, {})
    if (!('settings' in read)) throw new Error(JSON.stringify(read))
    return sidecarChoices(read.settings, new KeptLog())
  }

  it('is read', () => {
    const flags = ['--nodes=10.0.0.1:9091,unix:/run/node.sock', '--affinity=request.headers[X-User]', '--tenant=a.b']
    expect(choices(...flags)).toEqual({
      sources: [
        { kind: 'address', host: '10.0.0.1', port: 9_091 },
        { kind: 'socket', path: '/run/node.sock' },
      ],
      affinity: [{ name: 'request.headers', key: 'x-user' }],
      tenant: { name: 'a.b', key: undefined },
      tls: undefined,
    })
    expect(choices('--nodes=a:1', '--tenant=').tenant).toBeUndefined()
  })

  it('is refused with every problem at once', () => {
    const flags = ['--nodes=bad,unix:', '--affinity=()(', '--tenant=(', '--nodes-tls-ca=/no-such.pem']
    let problems: string[] = []
    try {
      choices(...flags)
    } catch (caught) {
      problems = caught instanceof Error ? caught.message.split('\n') : []
    }
    expect(problems.map((text) => text.slice(0, text.indexOf(':')))).toEqual([
      '--nodes',
      '--nodes',
      '--affinity',
      '--tenant',
      '--nodes-tls-ca',
    ])
  })
})
