// The slots of a Redis cluster: which slot a key belongs to, and names for keys in a slot of our choice.

import { Cluster } from 'ioredis'
import type { RedisClient } from './create-client.ts'

/** Slots of every cluster. */
export const SLOTS = 16_384

/** How far from the slot that is wanted a name may fall: less than any master's part, and found within a few hundred tries. */
const TOLERANCE = 32

/** The slot of a key: CRC16 (XMODEM) of its `{tag}`, or of all of it (Redis cluster specification, "Key distribution model"). */
export function keySlot(key: string): number {
  const open = key.indexOf('{')
  const close = open < 0 ? -1 : key.indexOf('}', open + 1)
  const tag = close > open + 1 ? key.slice(open + 1, close) : key
  return crc16(Buffer.from(tag)) % SLOTS
}

/** A name that begins with `base` and whose slot is `slot`, or next to it. The same for the same question, at any time and anywhere. */
export function nameInSlot(base: string, slot: number): string {
  for (let salt = 0; ; salt++) {
    const name = `${base}.${salt}`
    const distance = Math.abs(keySlot(name) - slot)
    if (Math.min(distance, SLOTS - distance) <= TOLERANCE) return name
  }
}

/** `host:port` of the master that owns a key, as far as the client knows at the moment; empty where there is no cluster. */
export function ownerOf(client: RedisClient, key: string): string | undefined {
  return client instanceof Cluster ? client.slots[keySlot(key)]?.[0] : ''
}

const POLYNOMIAL = 0x1021

function crc16(bytes: Uint8Array): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1) & 0xffff
  }
  return crc
}
