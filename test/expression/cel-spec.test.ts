import { describe, expect, it } from 'vitest'
import { CEL_DEVIATIONS } from './cel-deviations.ts'
import { runSpecification } from './cel-spec-run.ts'

describe('tests of the CEL specification', () => {
  const { passed, deviations } = runSpecification()

  it('fail where it is known, and nowhere else', () => {
    expect(deviations).toEqual(CEL_DEVIATIONS)
  })

  it('are run', () => {
    expect(passed).toBeGreaterThan(800)
  })
})
