// The upstream implementation's own cases, as far as they are at hand.

import { describe, expect, it } from 'vitest'
import { sharedData } from '../helpers/shared-data.ts'
import { parseCases, parseManifests } from './cases/case-file.ts'
import { runCase } from './cases/run-case.ts'

const data = sharedData('cexl-cases.json')
const cases = data === undefined ? [] : parseCases(JSON.stringify(data), 'cexl-cases.json')
const manifests = parseManifests(JSON.stringify(sharedData('cexl-manifests.json') ?? {}), 'cexl-manifests.json')

describe.skipIf(data === undefined)('upstream expression cases', () => {
  it.each(cases.map((test) => [`${test.id} ${test.dialect} ${test.expr}`, test] as const))('%s', (_name, test) => {
    expect(runCase(test, manifests)).toBeUndefined()
  })

  it('are all read', () => {
    expect(cases.length).toBeGreaterThan(400)
  })
})
