// The short form of the differential of doors; the long one is a command of its own: node test/whole/doors/run.ts
import { describe, expect, it } from 'vitest'
import { toolOrSkip } from '../../helpers/tools.ts'
import { differential } from './differential.ts'
import { missingTools, startDoors } from './doors.ts'

const missing = missingTools().filter((tool) => toolOrSkip(tool) === undefined)

/** What this test can see does not depend on the transport. */
const native = process.env['INTERMIX_TRANSPORT'] !== 'grpc-js'

describe.skipIf(missing.length > 0)('the same odd requests through every door', () => {
  it('have the same verdict, and none that policy denies is delivered', async () => {
    const doors = await startDoors()
    try {
      const { findings, tallies } = await differential(doors, 150, 7)
      expect(findings).toEqual([])
      for (const { name } of doors.proxies) {
        expect(tallies.get(name)?.get('delivered'), name).toBeGreaterThan(10)
        expect(tallies.get(name)?.get('403'), name).toBeGreaterThan(10)
      }
      for (const proxy of doors.proxies.filter(({ likeness }) => likeness !== undefined)) {
        const kept = () => proxy.stat('wasmcustom.intermix.answers.kept')
        await expect.poll(kept, { message: proxy.name }).toBeGreaterThan(30)
      }
    } finally {
      await doors.stop()
    }
  })

  if (native) {
    it('would not pass if rules saw paths and hosts as they came', async () => {
      const doors = await startDoors({ flags: ['--request-spelling', 'raw'] })
      try {
        const { findings } = await differential(doors, 150, 7)
        for (const { name } of doors.proxies) {
          expect(findings.filter((finding) => finding.includes(`${name} delivered`)).length, name).toBeGreaterThan(0)
        }
      } finally {
        await doors.stop()
      }
    })
  }
})
