// Rewrites CEL source so that the parser takes what Mixer takes: attributes named like reserved words, and messages
// that only wrap a value (`google.protobuf.Int64Value{value: 1}.value`). Columns of the original are kept track of.

import { SourceError } from '../source-error.ts'

/** Words that CEL, or its parser, reserves though the grammar does not need them. */
const RESERVED =
  /^(__proto__|as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|prototype|return|var|void|while)$/

const RESERVED_PREFIX = 'reserved__'

const TOKEN =
  /\s+|\/\/[^\n]*|[rR]?[bB]?[rR]?(?:"""[^]*?"""|'''[^]*?''')|[rR][bB]?(?:"[^"\n]*"|'[^'\n]*')|[bB]?(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|[A-Za-z_][A-Za-z0-9_]*|[^]/gy

const WRAPPER = /google\s*\.\s*protobuf\s*\.\s*(?:Bool|Double|Float|Int32|Int64|String|UInt32|UInt64)Value\s*\{/y
const WRAPPER_FIELD = /\s*value\s*:/y
const WRAPPED_FIELD = /\s*\.\s*value\b/y

interface Edit {
  readonly at: number
  /** How many characters of the original are replaced. */
  readonly removed: number
  readonly text: string
}

export interface PreparedSource {
  readonly text: string
  /** The offset in the original of an offset in `text`. */
  originalOffset(offset: number): number
}

/** The name under which an attribute's first word is known to the parser. */
export function parserName(word: string): string {
  return RESERVED.test(word) ? RESERVED_PREFIX + word : word
}

/** The attribute's first word behind the parser's name. */
export function attributeWord(name: string): string {
  return name.startsWith(RESERVED_PREFIX) ? name.slice(RESERVED_PREFIX.length) : name
}

/** @throws SourceError where a wrapper message is not closed or holds something else than its value. */
export function prepare(source: string): PreparedSource {
  const edits = findEdits(source)
  let text = ''
  let from = 0
  for (const edit of edits) {
    text += source.slice(from, edit.at) + edit.text
    from = edit.at + edit.removed
  }
  return { text: text + source.slice(from), originalOffset: (offset) => originalOffset(edits, offset) }
}

function originalOffset(edits: readonly Edit[], offset: number): number {
  let shift = 0
  for (const { at, removed, text } of edits) {
    const start = at + shift
    if (offset < start) break
    if (offset < start + text.length) return at
    shift += text.length - removed
  }
  return offset - shift
}

function findEdits(source: string): readonly Edit[] {
  const edits: Edit[] = []
  /** For each open brace, whether it is the one of a wrapper message. */
  const braces: boolean[] = []
  let afterDot = false
  for (let at = 0; at < source.length; ) {
    const wrapper = afterDot ? undefined : matchAt(WRAPPER, source, at)
    if (wrapper !== undefined) {
      const field = matchAt(WRAPPER_FIELD, source, at + wrapper.length)
      if (field === undefined)
        throw new SourceError('a wrapper message needs its value: {value: …}', at, at + wrapper.length)
      edits.push({ at, removed: wrapper.length + field.length, text: '(' })
      braces.push(true)
      at += wrapper.length + field.length
      continue
    }
    const token = matchAt(TOKEN, source, at) ?? ''
    if (token === '{') braces.push(false)
    if (token === '}' && braces.pop() === true) {
      const field = matchAt(WRAPPED_FIELD, source, at + 1) ?? ''
      edits.push({ at, removed: 1 + field.length, text: ')' })
      at += 1 + field.length
      continue
    }
    if (!afterDot && RESERVED.test(token)) edits.push({ at, removed: token.length, text: RESERVED_PREFIX + token })
    if (token.trim() !== '') afterDot = token === '.'
    at += Math.max(token.length, 1)
  }
  return edits
}

function matchAt(pattern: RegExp, source: string, at: number): string | undefined {
  pattern.lastIndex = at
  return pattern.exec(source)?.[0]
}
