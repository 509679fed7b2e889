// The address of a socket as Envoy writes it: `IP:PORT` or `[IP]:PORT`, an IPv6 address perhaps with a zone. The path of a pipe is none.

import { indexOfByte } from '../bytes/bytes'

const SLASH: u8 = 0x2f
const COLON: u8 = 0x3a
const BRACKET: u8 = 0x5b
const ZONE: u8 = 0x25

/** Where the address, without its zone, and the port lie that were read last. */
export let ipAt: usize = 0
export let ipSize: i32 = 0
export let portAt: usize = 0
export let portSize: i32 = 0

/** @returns whether the text has both parts */
export function readSocketText(text: usize, size: i32): bool {
  if (load<u8>(text) === SLASH) return false
  let colon = size - 1
  while (colon >= 0 && load<u8>(text + <usize>colon) !== COLON) colon--
  if (colon <= 0) return false
  portAt = text + <usize>(colon + 1)
  portSize = size - colon - 1
  const isBracketed = load<u8>(text) === BRACKET
  ipAt = isBracketed ? text + 1 : text
  ipSize = isBracketed ? colon - 2 : colon
  const zone = indexOfByte(ipAt, ipSize, ZONE)
  if (zone >= 0) ipSize = zone
  return true
}
