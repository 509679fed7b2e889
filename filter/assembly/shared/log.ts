// Lines in Envoy's log.

import { bytesOf } from '../bytes/bytes'
import { log } from '../host/abi'

export function report(level: i32, text: string): void {
  const bytes = bytesOf('intermix: ' + text)
  log(level, bytes.dataStart, bytes.length)
}
