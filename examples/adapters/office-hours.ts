// A sample adapter: lets requests pass on working days between two hours (UTC), and remembers each answer until the
// next full hour. Load it with INTERMIX_ADAPTERS=examples/adapters/office-hours.ts and name it as a handler's adapter:
// `adapter: officehours`.

import { defineAdapter, z } from 'intermix/adapter-kit'

const HOUR_MS = 3_600_000

export default defineAdapter({
  name: 'officehours',
  description: 'Allows requests during office hours',
  templates: ['checknothing'],
  config: z.strictObject({
    from: z.int().min(0).max(23).default(9),
    to: z.int().min(1).max(24).default(17),
  }),
  doesIo: false,
  validate: ({ from, to }) => (from < to ? [] : [{ path: ['to'], message: 'must be later than from' }]),
  create({ from, to }, env) {
    return {
      check: {
        checknothing: () => {
          const now = new Date(env.clock.now())
          const weekend = [0, 6].includes(now.getUTCDay())
          const open = !weekend && now.getUTCHours() >= from && now.getUTCHours() < to
          const status = open ? { code: 0, message: '' } : { code: 7, message: `open from ${from} to ${to} UTC` }
          return { status, validForMs: HOUR_MS - (now.getTime() % HOUR_MS) }
        },
      },
    }
  },
})
