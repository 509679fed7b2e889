// Faults that can be planted into the program, to see that a chaos run finds them.

export interface Break {
  /** From the root of the project. */
  readonly file: string
  /** Stands there once. */
  readonly find: string
  readonly put: string
}

/** By what does not work any more. */
export const BREAKS = {
  /** Every failure of a backend is the batch's last. */
  retry: {
    file: 'src/adapter-kit/exporter/retry.ts',
    find: 'ageMs >= retries.maxAgeMs || mayRetry?.() === false',
    put: 'ageMs >= 0',
  },
  /** What an ended process left on the disk is not read. */
  spool: {
    file: 'src/telemetry/spool/disk-spool.ts',
    find: 'if (left === undefined) {',
    put: "if (left !== '') {",
  },
} as const satisfies Readonly<Record<string, Break>>

/** The environment variable by which `plant.ts` is told which. */
export const BREAK_VARIABLE = 'CHAOS_BREAK'

/** @throws Error where the text has changed, and the break with it must. */
export function broken({ file, find, put }: Break, source: string): string {
  const parts = source.split(find)
  if (parts.length !== 2) throw new Error(`${file}: "${find}" must stand there once, for the break to be planted`)
  return parts.join(put)
}
