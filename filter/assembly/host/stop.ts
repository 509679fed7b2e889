// What happens where the module finds itself in a state that cannot be: it says where, and stops. Envoy fails the stream, and
// starts a new module (FAIL_RELOAD). No request is let through by that.

import { log, LogLevel } from './abi'

/** The compiler calls this for checks that fail: an index out of bounds, no memory. */
export function stop(message: string | null, file: string | null, line: u32, column: u32): void {
  const text = String.UTF8.encode(`intermix: ${message || ''} at ${file || ''}:${line.toString()}:${column.toString()}`)
  log(LogLevel.ERROR, changetype<usize>(text), text.byteLength)
  unreachable()
}
