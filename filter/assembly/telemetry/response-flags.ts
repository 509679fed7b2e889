// Why Envoy says that a response failed, in the short codes of its access logs, for Mixer's `context.proxy_error_code`.

import { Bytes, bytesOf } from '../bytes/bytes'
import { take } from '../host/scratch'

/** By bit of the property `response.flags`. */
const CODES: StaticArray<Bytes> = codes()
const NONE = bytesOf('-')
const COMMA: u8 = 0x2c

function codes(): StaticArray<Bytes> {
  const all =
    'LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE DC URX SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF DO DR UDO'.split(
      ' ',
    )
  const codes = new StaticArray<Bytes>(all.length)
  for (let i = 0; i < all.length; i++) codes[i] = bytesOf(all[i])
  return codes
}

/** Where the codes of flags lie, joined by commas; `-` for none. */
export let flagsAt: usize = 0
export let flagsSize: i32 = 0

export function readFlags(flags: u64): void {
  flagsAt = NONE.dataStart
  flagsSize = NONE.length
  if (flags === 0) return
  const to = take(256)
  let used = 0
  for (let i = 0; i < CODES.length; i++) {
    if ((flags & ((<u64>1) << i)) === 0) continue
    if (used > 0) {
      store<u8>(to + <usize>used, COMMA)
      used++
    }
    memory.copy(to + <usize>used, CODES[i].dataStart, CODES[i].length)
    used += CODES[i].length
  }
  if (used === 0) return
  flagsAt = to
  flagsSize = used
}
