// The catalogue of metrics is whole and in order, code uses all of it, and what is written for people names nothing else.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { CATALOGUE } from '../../src/kernel/metrics/catalogue.ts'
import { mentionsIn, problemsOf } from './metric-mentions.ts'
import { PAGE_PATH, renderMetricsPage } from './metrics-page.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const entries = CATALOGUE.flatMap(({ metrics }) => Object.entries(metrics))
const all = entries.map(([, metric]) => metric)

/** What is written for people, and what asks a process for its metrics. */
const WRITTEN = globSync(
  [
    '*.md',
    'docker-compose.yml',
    'docs/**/*.*',
    'examples/**/*.*',
    'deploy/**/*.*',
    'load/**/*.{ts,md}',
    'src/**/README.md',
  ],
  { cwd: root },
)

describe('the catalogue of metrics', () => {
  it('has every metric that its files define, each once, under the name that code imports', () => {
    const defined = globSync('src/kernel/metrics/*.ts', { cwd: root }).flatMap((path) => [
      ...read(path).matchAll(/^export const ([A-Z_]+) = (?:counter|gauge|histogram)\(/gm),
    ])
    const keys = entries.map(([key]) => key)
    expect(new Set(keys)).toEqual(new Set(defined.map(([, key]) => key)))
    expect(keys).toHaveLength(defined.length)
    expect(keys).toEqual(all.map(({ name }) => name.toUpperCase()))
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
  })

  it('names metrics as Prometheus wants them named', () => {
    for (const { name, type, unit, help, labels } of all) {
      expect(name).toMatch(/^[a-z][a-z\d]*(_[a-z\d]+)*$/)
      expect(name.endsWith('_total'), `${name} is a ${type}`).toBe(type === 'counter')
      expect(/_seconds(_total)?$/.test(name), `${name} is in ${unit}`).toBe(unit === 'seconds')
      expect(/_bytes(_total)?$/.test(name), `${name} is in ${unit}`).toBe(unit === 'bytes')
      expect(help, name).toMatch(/^\S.*\S$/)
      for (const label of Object.keys(labels)) expect(label, name).toMatch(/^(?!__)(?!le$)[a-z_]+$/)
    }
  })

  it('has ascending buckets', () => {
    for (const { name, buckets } of all.filter((metric) => 'buckets' in metric)) {
      const bounds = buckets as readonly number[]
      expect(bounds, name).toEqual([...new Set(bounds)].sort((a, b) => a - b))
    }
  })

  it('has nothing that no code counts', () => {
    const code = globSync('{src,workers}/**/*.ts', { cwd: root }).map(read).join('\n')
    for (const [key, { type }] of entries) expect(code).toContain(`.${type}(${key})`)
  })

  it('is what docs/metrics.md says', () => {
    expect(readFileSync(PAGE_PATH, 'utf8'), 'npm run docs:metrics writes it').toBe(renderMetricsPage())
  })
})

describe('what is written of metrics', () => {
  it.each(WRITTEN)('names metrics that exist, with their labels: %s', (path) => {
    expect(mentionsIn(read(path)).flatMap(problemsOf)).toEqual([])
  })

  it('names metrics at all', () => {
    const named = (path: string) => mentionsIn(read(path)).map(({ name }) => name)
    expect(named('README.md').length).toBeGreaterThan(20)
    expect(named('load/one-call.ts')).toContain('redis_calls_total')
    expect(new Set(named('docs/metrics.md'))).toEqual(new Set(all.map(({ name }) => name)))
    expect(named('deploy/nginx/nginx.conf')).toEqual([])
  })

  it.each([
    ['`intermix_nothing_total`', ['there is no metric intermix_nothing_total']],
    ['intermix_checks_total_bucket', ['there is no metric intermix_checks_total_bucket']],
    ['intermix_checks_total{code}', ['intermix_checks_total has the labels {code,tier}, not {code}']],
    ['rate(intermix_checks_total{rule="a"}[5m])', ['intermix_checks_total has no label rule']],
    ['intermix_checks_total{tier="fresh", code="OK"}', ['label tier of intermix_checks_total is never fresh']],
    [`['intermix_redis_up', 'role="q"']`, ['label role of intermix_redis_up is never q']],
    ['intermix_redis_up{role}{', []],
    ['intermix_check_duration_seconds_bucket{tier=~"local|mesh"}', []],
    ['intermix_redis_up{role', []],
    ['intermix_redis_up{ro le="x"}', ['the labels of intermix_redis_up cannot be read: ro le="x"']],
  ])('is found wrong where it is: %s', (text, problems) => {
    expect(mentionsIn(text).flatMap(problemsOf)).toEqual(problems)
  })
})
