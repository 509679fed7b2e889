// Tables for people.

type Cell = string | number

/** What moves the cursor, or hides or turns text around: in what clients chose, it is for people to see. */
const UNSEEN = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

/** Its lines, with an empty one behind them. Numbers stand to the right, under their head; without rows there is no line. */
export function table(title: string, heads: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
  if (rows.length === 0) return []
  const shown = rows.map((row) => row.map((cell) => (typeof cell === 'string' ? visible(cell) : cell)))
  const widths = heads.map((head, i) => Math.max(head.length, ...shown.map((row) => String(row[i]).length)))
  const line = (cells: readonly Cell[], isNumber: (i: number) => boolean) =>
    cells
      .map((cell, i) => (isNumber(i) ? String(cell).padStart(widths[i] ?? 0) : String(cell).padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  const isNumber = (i: number) => rows.every((row) => typeof row[i] === 'number' || row[i] === '')
  return [title, ...[heads, ...shown].map((cells) => `  ${line(cells, isNumber)}`), '']
}

/** The text with all that people would not see, or that a terminal would obey, written out. */
export function visible(text: string): string {
  return text.replace(UNSEEN, escaped)
}

function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`
}
