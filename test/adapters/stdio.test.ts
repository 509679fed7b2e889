import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTestEnvironment, ManualClock } from '../../src/adapter-kit/test-environment.ts'
import type { LogEntryInstance } from '../../src/adapter-kit/templates.ts'
import stdio from '../../src/adapters/stdio/index.ts'
import { Timestamp } from '../../src/kernel/time.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'intermix-stdio-'))
})

afterEach(() => rmSync(directory, { recursive: true }))

const call = { batchId: 'b-1', deadline: 0, signal: new AbortController().signal }

function start(params: Record<string, unknown>, clock = new ManualClock()) {
  const outputPath = join(directory, 'logs', 'out.log')
  const config = stdio.config.parse({ logStream: 'FILE', outputPath, ...params })
  const handler = stdio.create(config, createTestEnvironment({ clock }))
  const lines = () => readFileSync(outputPath, 'utf8').trimEnd().split('\n')
  return { handler, lines, clock, outputPath }
}

function entry(severity: string, variables: NonNullable<LogEntryInstance['fields']['variables']>): LogEntryInstance {
  const timestamp = Timestamp.fromMillis(1_700_000_000_000)
  return { name: 'access.instance.default', template: 'logentry', fields: { severity, variables, timestamp } }
}

describe('the stdio adapter', () => {
  it('writes log entries as JSON, one a line', async () => {
    const { handler, lines } = start({ outputAsJson: true })
    await handler.report?.logentry?.([entry('info', { path: '/a\nb', size: 5n }), entry('error', {})], call)
    expect(lines().map((line) => JSON.parse(line) as unknown)).toEqual([
      { path: '/a\nb', size: 5, level: 'info', time: '2023-11-14T22:13:20Z', instance: 'access.instance.default' },
      { level: 'error', time: '2023-11-14T22:13:20Z', instance: 'access.instance.default' },
    ])
  })

  it('writes text, and leaves out what is below the output level', async () => {
    const severityLevels = { audit: 'ERROR' }
    const { handler, lines } = start({ outputLevel: 'WARNING', severityLevels })
    const severities = ['info', 'Warning', 'audit', 'whatever']
    await handler.report?.logentry?.(
      severities.map((severity) => entry(severity, { severity })),
      call,
    )
    expect(lines()).toEqual([
      '2023-11-14T22:13:20Z\twarning\taccess.instance.default\t{"severity":"Warning"}',
      '2023-11-14T22:13:20Z\terror\taccess.instance.default\t{"severity":"audit"}',
    ])
  })

  it('keeps its own keys, and puts variables and dimensions of the same names one level down, in both forms', async () => {
    const taken = { level: 'gold', time: 'noon', instance: 'i-1', monitoredResource: 'disk', variables: 'v' }
    const metric = {
      name: 'm',
      template: 'metric',
      fields: { value: 3n, dimensions: { ...taken, value: 'v', code: 200n } },
    }
    const json = start({ outputAsJson: true })
    await json.handler.report?.logentry?.([entry('error', { ...taken, value: 9n })], call)
    await json.handler.report?.metric?.([metric], call)
    const head = { time: '2023-11-14T22:13:20Z', level: 'error', instance: 'access.instance.default' }
    expect(json.lines().map((line) => JSON.parse(line) as unknown)).toEqual([
      { ...head, value: 9, variables: taken },
      {
        level: 'info',
        time: '2023-11-14T22:13:20.000Z',
        instance: 'm',
        value: 3,
        code: 200,
        variables: { ...taken, value: 'v' },
      },
    ])
    rmSync(json.outputPath)
    const text = start({})
    await text.handler.report?.metric?.([metric], call)
    const [time, level, instance, values = ''] = text.lines()[0]?.split('\t') ?? []
    expect([time, level, instance]).toEqual(['2023-11-14T22:13:20.000Z', 'info', 'm'])
    expect(JSON.parse(values)).toEqual({ value: 3, code: 200, variables: { ...taken, value: 'v' } })
  })

  it.each([undefined, new Timestamp(0n)])(
    'dates an entry without a time (%s) with its own clock',
    async (timestamp) => {
      const { handler, lines, clock } = start({ outputAsJson: true })
      const fields = timestamp === undefined ? {} : { timestamp }
      await handler.report?.logentry?.([{ name: 'a', template: 'logentry', fields }], call)
      expect(JSON.parse(lines()[0] ?? '')).toMatchObject({ time: new Date(clock.now()).toISOString() })
    },
  )

  it('writes metrics with value and dimensions at their level', async () => {
    const { handler, lines } = start({ metricLevel: 'ERROR', outputAsJson: true })
    const fields = { value: 3n, dimensions: { code: 200n }, monitoredResourceType: 'pod' }
    await handler.report?.metric?.([{ name: 'm', template: 'metric', fields }], call)
    expect(JSON.parse(lines()[0] ?? '')).toEqual({
      value: 3,
      code: 200,
      monitoredResource: { type: 'pod', dimensions: {} },
      level: 'error',
      time: '2023-11-14T22:13:20.000Z',
      instance: 'm',
    })
  })

  it('starts a file anew when it is full, and keeps so many old ones', async () => {
    const params = { logStream: 'ROTATED_FILE', maxMegabytesBeforeRotation: 1, maxRotatedFiles: 2 }
    const { handler, clock } = start(params)
    for (let i = 0; i < 5; i++) {
      await handler.report?.logentry?.([entry('info', { i: BigInt(i), text: 'x'.repeat(700_000) })], call)
      await clock.advance(1000)
    }
    const files = readdirSync(join(directory, 'logs')).sort()
    expect(files).toHaveLength(3)
    const numbers = files.map((file) => /"i":(\d)/.exec(readFileSync(join(directory, 'logs', file), 'utf8'))?.[1])
    expect(numbers).toEqual(['4', '2', '3'])
  })

  it('removes old files after the given days', async () => {
    const params = { logStream: 'ROTATED_FILE', maxMegabytesBeforeRotation: 1, maxDaysBeforeRotation: 1 }
    const { handler, clock } = start(params)
    for (let i = 0; i < 3; i++) {
      await handler.report?.logentry?.([entry('info', { text: 'x'.repeat(700_000) })], call)
      await clock.advance(2 * 24 * 3_600_000)
    }
    expect(readdirSync(join(directory, 'logs'))).toHaveLength(2)
  })

  it('reports a file that cannot be written as a passing failure', async () => {
    const { handler } = start({ outputPath: '/dev/null/x.log' })
    const failed = Promise.resolve(handler.report?.logentry?.([entry('info', {})], call))
    await expect(failed).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: true })
  })

  it('wants a path for files and only for files', () => {
    const validate = (params: unknown) => stdio.validate?.(stdio.config.parse(params)).map(({ message }) => message)
    expect(validate({ logStream: 'FILE' })).toEqual(['must name the file for FILE'])
    expect(validate({ outputPath: '/x' })).toEqual(['has no effect with STDOUT; use FILE or ROTATED_FILE'])
    expect(validate({})).toEqual([])
  })
})
