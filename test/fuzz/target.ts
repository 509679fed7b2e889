// What a fuzz target is.

/** One entry point. `run` handles what it accepts to the last value and throws what it refuses. */
export interface Target {
  readonly name: string
  generate(random: () => number): Uint8Array | string
  run(input: Uint8Array | string): void
}

/** Thrown by a target whose decoder says no by other means than an IntermixError. */
export class Refused extends Error {}
