// The driver as a process of its own, so that it takes nothing from what it measures: it gets a load as a message, and
// answers with what came of it, or with why nothing did.

import { driveLoad } from './drive-load.ts'
import type { Load, LoadResult } from './load.ts'

export type DriverAnswer = { readonly result: LoadResult } | { readonly error: string }

function answer(message: DriverAnswer): void {
  process.send?.(message, () => process.exit(0))
}

// Whoever wanted the load has gone.
process.once('disconnect', () => process.exit(1))
process.once('message', (load) => {
  void driveLoad(load as Load).then(
    (result) => answer({ result }),
    (error: unknown) => answer({ error: String(error) }),
  )
})
