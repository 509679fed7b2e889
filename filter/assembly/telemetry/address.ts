// IP addresses, from the text that Envoy has for them to their bytes (kernel/ip-address.ts).

const V6_BYTES: i32 = 16
/** Where the address lies that was read last. */
export const address = memory.data(16, 8)

/** Reads an address, IPv6 ones without a zone. @returns its size, 4 or 16; 0 where it is none */
export function readAddress(text: usize, size: i32): i32 {
  for (let i = 0; i < size; i++) if (load<u8>(text + <usize>i) === 0x3a) return readV6(text, size)
  return readV4(text, size, address) ? 4 : 0
}

function readV4(text: usize, size: i32, to: usize): bool {
  let part = 0
  let value = 0
  let digits = 0
  for (let i = 0; i < size; i++) {
    const code = <i32>load<u8>(text + <usize>i)
    if (code === 0x2e) {
      if (digits === 0 || part === 3) return false
      store<u8>(to + <usize>part, <u8>value)
      part++
      value = 0
      digits = 0
      continue
    }
    const digit = code - 0x30
    if (digit < 0 || digit > 9 || (digits > 0 && value === 0)) return false
    value = value * 10 + digit
    digits++
    if (value > 255) return false
  }
  if (part !== 3 || digits === 0) return false
  store<u8>(to + 3, <u8>value)
  return true
}

function readV6(text: usize, size: i32): i32 {
  let used = 0
  /** Where `::` stands, in bytes of the address. */
  let gap = -1
  let i = 0
  if (size >= 2 && load<u16>(text) === 0x3a3a) {
    gap = 0
    i = 2
  }
  while (i < size) {
    if (used >= V6_BYTES) return 0
    let value = 0
    let digits = 0
    const begin = i
    while (i < size) {
      const digit = hexOf(load<u8>(text + <usize>i))
      if (digit < 0) break
      value = (value << 4) | digit
      digits++
      i++
    }
    if (i < size && load<u8>(text + <usize>i) === 0x2e) {
      if (used > V6_BYTES - 4 || !readV4(text + <usize>begin, size - begin, address + <usize>used)) return 0
      used += 4
      i = size
      break
    }
    if (digits === 0 || digits > 4) return 0
    store<u8>(address + <usize>used, <u8>(value >> 8))
    store<u8>(address + <usize>(used + 1), <u8>value)
    used += 2
    if (i === size) break
    if (load<u8>(text + <usize>i) !== 0x3a) return 0
    i++
    if (i === size) return 0
    if (load<u8>(text + <usize>i) !== 0x3a) continue
    if (gap >= 0) return 0
    gap = used
    i++
  }
  if (gap < 0) return used === V6_BYTES ? V6_BYTES : 0
  if (used >= V6_BYTES) return 0
  const behind = used - gap
  memory.copy(address + <usize>(V6_BYTES - behind), address + <usize>gap, behind)
  memory.fill(address + <usize>gap, 0, V6_BYTES - used)
  return V6_BYTES
}

/** What a hexadecimal digit says; -1 for what is none. */
export function hexOf(code: u8): i32 {
  if (code >= 0x30 && code <= 0x39) return <i32>code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? <i32>lower - 0x57 : -1
}
