// The short form of the differential beside envoyproxy/ratelimit; the long one is a command: node test/whole/ratelimit/run.ts
import { describe, expect, it } from 'vitest'
import { findGoProgram, GO_PROGRAMS } from '../helpers/go.ts'
import { differential } from './ratelimit/differential.ts'

const found = await findGoProgram(GO_PROGRAMS.ratelimit)
const mustRun = process.env['CI'] === 'true'
const why = 'missing' in found ? `: ${found.missing}` : ''

describe.skipIf('missing' in found && !mustRun)(`envoyproxy/ratelimit${why}`, () => {
  it('has the same answer to each of 1,000 random demands', async () => {
    if ('missing' in found) throw new Error(found.missing)
    const { findings, tally } = await differential({ binary: found.binary, demands: 1_000, seed: 1, domains: 24 })
    expect(findings).toEqual([])
    for (const [kind, count] of Object.entries(tally)) expect(count, kind).toBeGreaterThan(50)
  })
})
