// Adapters whose handlers harm a node in ways that no look at the config tells.
import { z } from 'zod'
import { defineAdapter } from '../../../src/adapter-kit/define-adapter.ts'
import { OK_STATUS } from '../../../src/kernel/status.ts'

const ALLOWS = { check: { checknothing: () => ({ status: OK_STATUS }) } }

/** Ends the process at the third request, by an error that nobody handles. */
const thirdRequest = defineAdapter({
  name: 'thirdrequest',
  description: 'Ends the process at the third request.',
  templates: ['checknothing'],
  config: z.strictObject({}),
  doesIo: true,
  create() {
    let requests = 0
    return {
      check: {
        checknothing() {
          if (++requests === 3)
            setImmediate(() => {
              throw new Error('the third request')
            })
          return { status: OK_STATUS, validForMs: 0 }
        },
      },
    }
  },
})

/** Ends the process while it starts, without a word. */
const atStart = defineAdapter({
  name: 'atstart',
  description: 'Ends the process that makes a handler of it.',
  templates: ['checknothing'],
  config: z.strictObject({}),
  doesIo: true,
  create: () => ({ ...ALLOWS, start: () => process.kill(process.pid, 'SIGKILL') && undefined }),
})

/** Fails for every request. */
const throwing = defineAdapter({
  name: 'throwing',
  description: 'Fails for every request.',
  templates: ['checknothing'],
  config: z.strictObject({}),
  doesIo: true,
  create: () => ({
    check: {
      checknothing() {
        throw new Error('always')
      },
    },
  }),
})

// oxlint-disable-next-line no-default-export -- what a module with adapters is known by
export default [thirdRequest, atStart, throwing]
