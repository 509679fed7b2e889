// What scenarios print, and where they leave their figures.

import { mkdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

type Row = Readonly<Record<string, string | number>>

/** Options of the scenarios: `--quick` and `--seed N`. */
export function scenarioOptions(): {
  readonly quick: boolean
  readonly seed: number
} {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
    },
  })
  if (!/^\d{1,6}$/.test(values.seed)) throw new Error(`--seed ${values.seed}: a whole number is needed`)
  return { quick: values.quick, seed: Number(values.seed) }
}

// Whoever read our output has gone (`… | head`): what was started ends with us.
process.stdout.on('error', () => process.exit(1))

export function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Prints rows as an aligned table with the columns of the first row. */
export function printTable(rows: readonly Row[]): void {
  const columns = Object.keys(rows[0] ?? {})
  const cells = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? '')))]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)))
  for (const line of cells)
    say(
      line
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
}

/** Writes the figures to `load/results/<name>.json`, with the machine and the time. */
export async function saveResults(name: string, figures: object): Promise<void> {
  const folder = fileURLToPath(new URL('results/', import.meta.url))
  await mkdir(folder, { recursive: true })
  const machine = { cores: cpus().length, model: cpus()[0]?.model, node: process.version }
  const file = `${folder}${name}.json`
  await writeFile(file, `${JSON.stringify({ at: new Date().toISOString(), machine, ...figures }, undefined, 2)}\n`)
  say(`figures: load/results/${name}.json`)
}

/** Runs a scenario and ends what it started, in reverse order, whatever happens. */
export async function runScenario(
  scenario: (defer: (end: () => Promise<unknown>) => void) => Promise<void>,
): Promise<void> {
  const ends: (() => Promise<unknown>)[] = []
  try {
    await scenario((end) => ends.push(end))
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}
