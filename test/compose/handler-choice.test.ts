import { describe, expect, it } from 'vitest'
import { checkHandlers, chooseHandlers } from '../../src/compose/handler-choice.ts'
import { document, goodPolicy } from '../policy/policy-node.ts'

const stdio = (name: string, namespace = 'istio-system') =>
  document({ kind: 'handler', name, spec: { compiledAdapter: 'stdio' } }).replace('istio-system', namespace)
const rule = (name: string, handlers: readonly string[]) =>
  document({
    kind: 'rule',
    name,
    spec: { actions: handlers.map((handler) => ({ handler, instances: ['line'] })) },
  })

const SNAPSHOT = goodPolicy(
  stdio('mine'),
  stdio('ours'),
  stdio('unused'),
  stdio('ours', 'shop'),
  document({ kind: 'instance', name: 'line', spec: { compiledTemplate: 'logentry', params: { severity: '"info"' } } }),
  rule('all', ['mine', 'ours', 'ours.handler.shop']),
)

const choose = (handlers: readonly string[], fanOut = false) => chooseHandlers(SNAPSHOT, { handlers, fanOut })
const [mine, ours, shop] = ['mine.handler.istio-system', 'ours.handler.istio-system', 'ours.handler.shop']

describe('the handlers that a worker runs', () => {
  it('are all where none is named', () => {
    const { takesReports, runs } = choose([])
    expect([takesReports, runs(mine ?? '', 'report'), runs('anything', 'attributes')]).toEqual([true, true, true])
  })

  it('are those that are named, by their names alone or in full, and no fan-out', () => {
    for (const name of ['mine', 'mine.handler', mine ?? '']) {
      const { takesReports, runs, problems } = choose([name])
      expect([takesReports, runs(mine ?? '', 'report'), runs(ours ?? '', 'report')]).toEqual([false, true, false])
      expect([runs('anything', 'attributes'), problems]).toEqual([false, []])
    }
  })

  it('come with a fan-out where all are named, or where it is asked for', () => {
    expect(choose([mine ?? '', ours ?? '', shop ?? '']).takesReports).toBe(true)
    const asked = choose(['mine'], true)
    expect([asked.takesReports, asked.runs(ours ?? '', 'report'), asked.runs('any', 'attributes')]).toEqual([
      true,
      false,
      true,
    ])
  })

  it.each([
    ['mien', 'Did you mean "mine"?'],
    ['mien.handler.istio-system', `Did you mean "${mine}"?`],
    ['ours', `may be ${ours} or ${shop}`],
    ['unused', 'no rule gives reports to unused'],
    ['nothing-like-it', 'Known: mine, ours.'],
  ])('are refused at the start where %s means none of them', (name, why) => {
    expect(() => checkHandlers(SNAPSHOT, { handlers: ['mine', name], fanOut: false })).toThrow(why)
    expect(choose(['mine', name]).runs(mine ?? '', 'report')).toBe(true)
  })
})
