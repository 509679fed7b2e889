import { describe, expect, it } from 'vitest'
import { createLogger, type LoggerOptions } from '../../src/observe/logger.ts'

function collect(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = []
  const log = createLogger({
    format: 'json',
    level: 'info',
    terminal: false,
    write: (line) => lines.push(line),
    ...options,
  })
  return { log, lines }
}

describe('the logger', () => {
  it('writes one JSON object a line, with level, time, message, own and inherited fields', () => {
    const { log, lines } = collect({ fields: { node: 'n1' } })
    log.child({ part: 'cache' }).warn({ entries: 3 }, 'nearly full')
    expect(lines).toHaveLength(1)
    const entry = JSON.parse(lines[0] ?? '')
    expect(entry).toMatchObject({ level: 'warn', node: 'n1', part: 'cache', entries: 3, msg: 'nearly full' })
    expect(Number.isNaN(Date.parse(entry.time))).toBe(false)
    expect(lines[0]?.endsWith('\n')).toBe(true)
  })

  it('writes an error with its type, message and stack under err, error and cause', () => {
    const { log, lines } = collect()
    for (const name of ['err', 'error', 'cause']) log.error({ [name]: new TypeError('broken') }, 'failed')
    for (const [i, name] of ['err', 'error', 'cause'].entries()) {
      const entry = JSON.parse(lines[i] ?? '')
      expect(entry[name]).toMatchObject({ type: 'TypeError', message: 'broken' })
      expect(entry[name].stack).toContain('logger.test.ts')
    }
  })

  it('writes of a failed command its name alone: its arguments may be a password', () => {
    const { log, lines } = collect()
    const command = { name: 'auth', args: ['me', 's3cret'] }
    const failed = Object.assign(new Error('WRONGPASS'), { command })
    const more = [new Error('all', { cause: failed }), new AggregateError([failed], 'some')]
    for (const err of [failed, ...more, Object.assign(new Error('all'), { lastNodeError: failed })])
      log.error({ err }, 'failed')
    expect(lines).toHaveLength(4)
    expect(lines.join('')).toContain('"command":"auth"')
    expect(lines.join('')).not.toContain('s3cret')
  })

  it('changes the level for children that exist already', () => {
    const { log, lines } = collect()
    const child = log.child({ part: 'quota' })
    child.debug({}, 'hidden')
    log.level = 'debug'
    child.debug({}, 'shown')
    log.level = 'error'
    child.warn({}, 'hidden again')
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['shown'])
    expect(log.level).toBe('error')
  })

  it('is readable on a terminal and JSON elsewhere when the format is auto', () => {
    const terminal = collect({ format: 'auto', terminal: true })
    terminal.log.info({ part: 'cache' }, 'started')
    expect(terminal.lines[0]).toContain('INFO')
    expect(terminal.lines[0]).toContain('started')
    expect(() => JSON.parse(terminal.lines[0] ?? '')).toThrow(SyntaxError)

    const file = collect({ format: 'auto' })
    file.log.info({}, 'started')
    expect(JSON.parse(file.lines[0] ?? '').msg).toBe('started')
  })

  it('uses no colours for a pretty format that does not go to a terminal', () => {
    const { log, lines } = collect({ format: 'pretty' })
    log.fatal({ err: new Error('gone') }, 'ends')
    expect(lines.join('')).toContain('FATAL')
    expect(lines.join('')).not.toContain('\u001b[')
  })

  it('survives fields that JSON does not know', () => {
    const { log, lines } = collect()
    const circular: Record<string, unknown> = { big: 10n }
    circular['self'] = circular
    log.info({ circular }, 'odd')
    expect(JSON.parse(lines[0] ?? '').msg).toBe('odd')
  })
})
