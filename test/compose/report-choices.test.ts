import { describe, expect, it } from 'vitest'
import { reportAcks } from '../../src/compose/report-choices.ts'
import { DEFAULT_REPORT_ACKS } from '../../src/kernel/services.ts'
import { readSettings } from '../../src/settings/settings.ts'

function read(...flags: readonly string[]) {
  const result = readSettings(
    'node',
    ['--config', 'x', '--redis', 'none', ...flags.flatMap((flag) => ['--report-ack', flag])],
    {},
  )
  return 'settings' in result ? reportAcks(result.settings.reportAck) : result.problems
}

describe('--report-ack', () => {
  it('is queued where callers try again, and memory elsewhere', () => {
    expect(read()).toEqual(DEFAULT_REPORT_ACKS)
  })

  it('holds for all doors but those that have their own, in any order', () => {
    expect(read('mixer=memory,queued')).toEqual({
      http: 'queued',
      mixer: 'memory',
      access_log: 'queued',
      sidecar: 'queued',
    })
    expect(read('memory', 'access_log=queued')).toEqual({
      http: 'memory',
      mixer: 'memory',
      access_log: 'queued',
      sidecar: 'memory',
    })
  })

  it('refuses two that contradict each other', () => {
    expect(read('http=queued,memory', 'mixer=memory,queued')).toEqual([expect.stringContaining('"queued" contradicts')])
    expect(read('http=queued,http=memory')).toEqual([expect.stringContaining('"http=memory" contradicts')])
    expect(read('queued,http=memory', 'queued')).toMatchObject({ http: 'memory', mixer: 'queued' })
  })

  it('promises replicas only where there is a Redis that may have some', () => {
    const missing = expect.stringMatching(/^--report-ack replicated: .*give --queue-redis URL or --redis URL$/)
    expect(read('http=replicated')).toEqual([missing])
    const own = ['--config', 'x', '--report-ack', 'replicated', '--revocation-ack', 'replicated']
    const alone = readSettings('all', own, {})
    expect(alone).toEqual({ problems: [missing, expect.stringMatching(/^--revocation-ack replicated: /)] })
    const given = readSettings('all', [...own, '--redis', 'redis://queue:6379', '--replicas', '2'], {})
    expect(given).toMatchObject({ settings: { replicas: 2, revocationAck: 'replicated' } })
  })

  it('names what it could be', () => {
    expect(read('mixer=disk')).toEqual([expect.stringContaining('mixer=queued')])
    expect(read('otlp=memory')).toEqual([expect.stringContaining('access_log=memory')])
  })
})
