// How much of the queue's memory one handler's batches may take, so that a backend that takes nothing stops no other.

import type { MemoryLook } from './queue-memory.ts'

const MIB = 1024 * 1024

/** Of the memory that Redis may use: what one handler may hold, and what all handlers may hold together. */
const HANDLER_SHARE = 0.25
const HANDLERS_SHARE = 0.5
/** A handler may always hold so much: one that keeps up needs no more, and loses nothing to those that do not. */
const FLOOR_SHARE = 0.03
/** Above the first, shares shrink; at the second only the floor is left, and the fan-out stops soon. */
const PRESSURE_FROM = 0.75
const PRESSURE_TO = 0.85
const WITHOUT_LIMIT_BYTES = 256 * MIB
const LETTERS_SHARE = 0.08
const LETTERS_WITHOUT_LIMIT_BYTES = 64 * MIB

/**
 * Bytes that the batches of one handler may take in the queue. Within its share, a handler may hold as much as is still free
 * of what is for all handlers together: Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet
 * Switches", 1998, with α = 1. So however many backends are away, others have room.
 * @param held bytes that all handlers hold
 * @param most the operator's own bound of one handler's share
 */
export function handlerShare(look: MemoryLook | undefined, held: number, most?: number): number {
  if (look === undefined || look.limit === 0) return most ?? WITHOUT_LIMIT_BYTES
  const { used, limit } = look
  const free = HANDLERS_SHARE * limit - held
  const pressure = (PRESSURE_TO - used / limit) / (PRESSURE_TO - PRESSURE_FROM)
  const share = Math.min(most ?? HANDLER_SHARE * limit, free) * Math.min(1, Math.max(0, pressure))
  return Math.floor(Math.max(share, Math.min(FLOOR_SHARE * limit, most ?? Number.POSITIVE_INFINITY)))
}

/** Bytes that all dead letters together may take; beyond it the oldest are dropped. */
export function deadLetterShare(look: MemoryLook | undefined, most?: number): number {
  if (most !== undefined) return most
  return look === undefined || look.limit === 0 ? LETTERS_WITHOUT_LIMIT_BYTES : Math.floor(LETTERS_SHARE * look.limit)
}
