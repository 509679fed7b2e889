// The driver as a process of its own, so that it takes nothing from what it measures: it gets a load as a message, and
// answers with what came of it.

import type { Load } from './load.ts'
import { driveLoad } from './drive-load.ts'

// Whoever wanted the load has gone.
process.once('disconnect', () => process.exit(1))
process.once('message', (load) => {
  void driveLoad(load as Load).then((result) => process.send?.(result, () => process.exit(0)))
})
