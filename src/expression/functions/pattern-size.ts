// How large the program of a regular expression becomes, told from its text: repetitions multiply, and compiling one
// only to find that it is too large is what an attacker would ask for.

const REPETITION = /\{(\d+)(?:,(\d*))?\}/y
const ESCAPE = /\\(?:[pP]\{[^}]*\}|[^])/y
const CLASS = /\[\^?\]?(?:\\[^]|\[:\w+:\]|[^\]\\])*\]/y

interface Group {
  /** Instructions of the group so far. */
  size: number
  /** Those of its last part, which a repetition repeats. */
  last: number
}

/** About as many instructions as the pattern compiles to; at least as many as its repetitions make. */
export function estimateProgram(pattern: string): number {
  const groups: Group[] = [{ size: 0, last: 0 }]
  for (let at = 0; at < pattern.length; ) {
    const group = groups.at(-1) as Group
    const repetition = matchAt(REPETITION, pattern, at)
    if (repetition !== undefined) {
      const [text, least, most] = repetition
      const times = Math.max(1, Number(least), Number(most ?? 0))
      group.size += group.last * (times - 1)
      group.last *= times
      at += text.length
      continue
    }
    const part = matchAt(ESCAPE, pattern, at) ?? matchAt(CLASS, pattern, at)
    const char = pattern[at]
    at += part?.[0].length ?? 1
    if (char === '(') groups.push({ size: 1, last: 0 })
    else if (char === ')' && groups.length > 1) append(groups.at(-2) as Group, (groups.pop() as Group).size + 1)
    else append(group, 1)
  }
  return groups.reduce((sum, { size }) => sum + size, 0)
}

function append(group: Group, size: number): void {
  group.size += size
  group.last = size
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at
  return pattern.exec(text) ?? undefined
}
