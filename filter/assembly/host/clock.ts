// The time that no one sets: Envoy's monotonic clock.

import { clockTime, randomBytes } from './abi'

const MONOTONIC = 1
const cell = memory.data(8, 8)

/** Milliseconds since some moment, and fractions of them. */
export function monotonic(): f64 {
  clockTime(MONOTONIC, 0, cell)
  return <f64>load<u64>(cell) / 1e6
}

/** Nanoseconds since the epoch. */
export function wallNanoseconds(): u64 {
  clockTime(0, 0, cell)
  return load<u64>(cell)
}

/** A number that nobody outside can guess; of the clock where the host has none. */
export function random64(): u64 {
  if (randomBytes(cell, 8) !== 0) return wallNanoseconds() * 0x9e3779b97f4a7c15
  return load<u64>(cell)
}
