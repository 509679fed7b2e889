import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { encodeValue } from '../../../src/kernel/value-json.ts'
import { Preflight } from '../../../src/rollout/preflight/preflight.ts'
import type { PreflightLimits } from '../../../src/rollout/preflight/preflight-report.ts'
import { config, rule } from './configs.ts'

const PROGRAM = new URL('../../../workers/preflight.ts', import.meta.url)
const POISON = fileURLToPath(new URL('poison-adapters.mts', import.meta.url))

function preflight(
  limits: Partial<PreflightLimits> = {},
  more: { adapters?: string; maxEvaluationSteps?: number } = {},
  program: URL = PROGRAM,
) {
  const compile = {
    adapters: '',
    adaptersFrom: '/',
    defaultNamespace: 'istio-system',
    maxEvaluationSteps: 100_000,
    requireRules: false,
    processes: 1,
    ...more,
  }
  return new Preflight({ program, clock: systemClock, compile, limits })
}

function withHandler(adapter: string): string {
  return `apiVersion: intermix.dev/v1
kind: handler
metadata: {name: poison}
spec: {compiledAdapter: ${adapter}}
`
}

const SLOW = rule(
  'slow',
  'request.headers.all(a, request.headers.all(b, request.headers.all(c, a != b || b != c || a == c)))',
)
const MANY = new Map(Array.from({ length: 100 }, (_, n) => [`key-${n}`, 'value']))
const MANY_HEADERS = { 'request.headers': encodeValue(MANY) }

describe('a config that can be used', () => {
  it('is evaluated with recorded requests, and with what nobody has sent', async () => {
    const files = config(
      rule('admin', 'request.path.startsWith("/admin") && request.headers["x-team"] == "a"'),
      rule('port', 'int(request.headers["port"]) > 1'),
    )
    const recorded = [
      { 'request.path': '/admin', 'request.headers': encodeValue(new Map([['port', 'none']])) },
      { 'request.path': '/admin', 'request.headers': encodeValue(new Map([['port', '7']])) },
    ]
    const outcome = await preflight().examine('v1', files, recorded)
    expect(outcome).toMatchObject({ ok: true, figures: { rules: 2, recorded: 2 } })
    if (!outcome.ok) return
    expect(outcome.figures.madeUp).toBeGreaterThan(50)
    expect(outcome.figures.memoryBytes).toBeGreaterThan(0)
    const [unknown] = outcome.figures.unknowns
    expect(unknown).toMatchObject({ rule: 'port.rule.istio-system', failPolicy: 'closed', recorded: 1 })
    expect(unknown?.example).toContain('int(request.headers["port"])')
  })

  it('is told of with its warnings', async () => {
    const outcome = await preflight().examine('v1', config(rule('upper', 'request.headers["X-Team"] == "a"')))
    expect(outcome.ok && outcome.figures.warnings.map(({ file, line, code }) => [file, line, code])).toEqual([
      ['rules.yaml', 5, 'unmatchable-key'],
    ])
  })
})

describe('a config that cannot be used', () => {
  it('is refused with the place of each problem', async () => {
    const outcome = await preflight().examine('v1', config(rule('one', 'request.pth == "/"'), rule('two', 'true &&')))
    expect(outcome).toMatchObject({ ok: false, reason: 'invalid' })
    if (outcome.ok) return
    expect(outcome.problems.map(({ file, line }) => `${file}:${line}`)).toEqual(['rules.yaml:5', 'rules.yaml:12'])
  })

  it('is refused without files', async () => {
    expect(await preflight().examine('v1', [])).toMatchObject({ ok: false, reason: 'invalid' })
  })

  it.each([
    ['nested deeply', `x: ${'['.repeat(100_000)}`],
    ['made of aliases', `a: &a [x]\n${aliases(9)}`],
    ['no YAML', '\u0000{{{'],
    ['a regex that is too large', rule('r', 'request.path.matches("(a{0,900}){0,900}")')],
    ['an expression that is too long', rule('r', `${'('.repeat(20_000)}true${')'.repeat(20_000)}`)],
  ])('is refused when it is %s', async (_, text) => {
    expect(await preflight().examine('v1', config(text))).toMatchObject({ ok: false, reason: 'invalid' })
  })

  it('is refused with bad rate limits between its rules', async () => {
    const files = [...config(rule('r', 'true')), { path: 'limits.yaml', text: 'domain: a\ndescriptors: [{}]\n' }]
    expect(await preflight().examine('v1', files)).toMatchObject({ ok: false, reason: 'invalid' })
  })
})

describe('a config that takes too much', () => {
  it('is refused when a list does not fit into memory', async () => {
    const list = Array.from({ length: 400_000 }, (_, n) => `    - entry-${n}\n`).join('')
    const text = withHandler('listchecker').replace(
      'spec: {compiledAdapter: listchecker}',
      `spec:\n  compiledAdapter: listchecker\n  params:\n    overrides:\n${list}`,
    )
    expect(await preflight({ memoryMb: 48 }).examine('v1', config(text))).toMatchObject({ ok: false, reason: 'memory' })
  })

  it('is refused when it has more rules than fit into memory', async () => {
    const rules = Array.from({ length: 20_000 }, (_, n) => rule(`r${n}`, `request.path == "/${n}"`))
    expect(await preflight({ memoryMb: 48 }).examine('v1', config(...rules))).toMatchObject({
      ok: false,
      reason: 'memory',
    })
  })

  it('is refused when one request takes too long', async () => {
    const outcome = await preflight({ evaluationMs: 5 }, { maxEvaluationSteps: 10_000_000 }).examine(
      'v1',
      config(SLOW),
      [MANY_HEADERS],
    )
    expect(outcome).toMatchObject({ ok: false, reason: 'slow' })
  })

  it('is refused when its time is up, with the rule that was evaluated then', async () => {
    const limits = { evaluationMs: 1_000_000, timeoutMs: 2_000 }
    const recorded = Array.from({ length: 500 }, () => MANY_HEADERS)
    const slow = preflight(limits, { maxEvaluationSteps: 100_000_000 })
    let outcome = await slow.examine('v1', config(SLOW), recorded)
    // On a machine that was too busy to say anything of the config it is tried again, as controllers do.
    for (let n = 0; n < 5 && !outcome.ok && outcome.reason === 'unavailable'; n++)
      outcome = await slow.examine('v1', config(SLOW), recorded)
    expect(outcome).toMatchObject({ ok: false, reason: 'timeout', rule: 'slow.rule.istio-system' })
  })
})

describe('a config that harms whoever compiles it', () => {
  it.each([
    ['loops', 'timeout'],
    ['grows', 'memory'],
    ['fills', 'memory'],
    ['exits', 'crash'],
  ])('is refused, and nothing else is harmed: it %s', async (adapter, reason) => {
    const examined = preflight({ memoryMb: 64, timeoutMs: 1_500 }, { adapters: POISON })
    const poisoned = await examined.examine('v1', config(rule('r', 'true'), withHandler(adapter)))
    expect(poisoned).toMatchObject({ ok: false, reason })
    // The next one is examined as if nothing had been.
    expect(await examined.examine('v2', config(rule('r', 'true')))).toMatchObject({ ok: true })
  })

  it.each([
    ['SIGTERM', 'unavailable'],
    ['SIGINT', 'unavailable'],
    ['SIGKILL', 'memory'],
    ['SIGABRT', 'memory'],
    ['SIGSEGV', 'crash'],
  ])('ends with its process, by whose fault the signal tells: %s', async (signal, reason) => {
    const folder = await mkdtemp(join(tmpdir(), 'intermix-preflight-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const program = join(folder, 'ended.mjs')
    await writeFile(program, `process.once('message', () => process.kill(process.pid, '${signal}'))\n`)
    const outcome = await preflight({}, {}, pathToFileURL(program)).examine('v1', config(rule('r', 'true')))
    expect(outcome).toMatchObject({ ok: false, reason })
  })

  it('is no fault of the config when adapters cannot be loaded', async () => {
    const outcome = await preflight({}, { adapters: './nowhere.mjs' }).examine('v1', config(rule('r', 'true')))
    expect(outcome).toMatchObject({ ok: false, reason: 'unavailable' })
  })
})

function aliases(levels: number): string {
  const names = 'abcdefghijk'
  return Array.from(
    { length: levels },
    (_, n) => `${names[n + 1]}: &${names[n + 1]} [${Array(10).fill(`*${names[n]}`).join(', ')}]`,
  ).join('\n')
}
