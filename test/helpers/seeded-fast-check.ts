// What tests get as fast-check (`vitest.config.ts`). In CI, properties have the same examples in each run: a landing does
// not hang on luck. Everywhere else they are new each time, and what fails says its seed; `FC_SEED=N` chooses one.

import fc from '../../node_modules/fast-check/lib/fast-check.js'

const seed = process.env['FC_SEED'] ?? (process.env['CI'] === 'true' ? '1' : undefined)
if (seed !== undefined) fc.configureGlobal({ seed: Number(seed) })

export default fc
export * from '../../node_modules/fast-check/lib/fast-check.js'
