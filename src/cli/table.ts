// Tables for people.

type Cell = string | number

/** Its lines, with an empty one behind them. Numbers stand to the right, under their head; without rows there is no line. */
export function table(title: string, heads: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
  if (rows.length === 0) return []
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => String(row[i]).length)))
  const line = (cells: readonly Cell[], isNumber: (i: number) => boolean) =>
    cells
      .map((cell, i) => (isNumber(i) ? String(cell).padStart(widths[i] ?? 0) : String(cell).padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  const isNumber = (i: number) => rows.every((row) => typeof row[i] === 'number' || row[i] === '')
  return [title, ...[heads, ...rows].map((cells) => `  ${line(cells, isNumber)}`), '']
}
