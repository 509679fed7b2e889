import { type ProcessIdentity, thisProcess } from '../../../src/kernel/process-identity.ts'

let processes = 0

/** A process that the next one finds to be gone, as if it had been killed. */
export function killedLater(): ProcessIdentity {
  return { ...thisProcess(), pid: 2 ** 30 + ++processes }
}
