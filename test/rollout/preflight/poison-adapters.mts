// Adapters whose handlers harm whoever compiles a config with them, in the ways that a bad config can.
import { z } from 'zod'
import { OK_STATUS } from '../../../src/kernel/status.ts'
import { defineAdapter } from '../../../src/adapter-kit/define-adapter.ts'

const poison = (name: string, harm: () => void) =>
  defineAdapter({
    name,
    description: 'harms whoever compiles a config that has it',
    templates: ['checknothing'],
    config: z.object({}),
    doesIo: false,
    validate() {
      harm()
      return []
    },
    create: () => ({ check: { checknothing: () => ({ status: OK_STATUS }) } }),
  })

// oxlint-disable-next-line no-default-export -- what a module with adapters is known by
export default [
  poison('loops', () => {
    for (let going = true; going; ) going = Date.now() > 0
  }),
  // The store of an array doubles: one allocation that does not fit ends a whole process.
  poison('grows', () => {
    for (const kept: number[] = []; ; ) kept.push(kept.length)
  }),
  poison('fills', () => {
    for (const kept: object[] = []; ; ) kept.push({ kept: kept.length })
  }),
  poison('exits', () => process.exit(3)),
]
