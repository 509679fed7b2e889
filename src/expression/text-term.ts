// What a match demands of one text, in a form that an index over many rules can use.

/** A set of texts: one alone, or all that begin or end with one. */
export interface TextPattern {
  readonly kind: 'equals' | 'prefix' | 'suffix'
  readonly text: string
}

/**
 * The attribute, or the entry of a map attribute, has a text that fits one of the patterns: joined to the rest of the
 * expression by its top-level `&&`. Where the attribute or the entry is absent it does not hold.
 */
export interface TextTerm {
  readonly attribute: string
  readonly mapKey: string | undefined
  /** None of an empty text. */
  readonly anyOf: readonly TextPattern[]
}

/**
 * The pattern that an operator or function of the name tests a text against; operators by Mixer's names. None where the
 * empty text fits, as which absent ones are read.
 */
export function textPattern(name: string, constant: string): TextPattern | undefined {
  const kind = KINDS[name]
  const pattern = name === 'match' ? globPattern(constant) : kind && { kind, text: constant }
  return pattern?.text === '' ? undefined : pattern
}

const KINDS: Readonly<Record<string, TextPattern['kind']>> = { EQ: 'equals', startsWith: 'prefix', endsWith: 'suffix' }

/** `match` takes a star at either end, the last one if there are two. The text may be empty. */
export function globPattern(glob: string): TextPattern {
  if (glob.endsWith('*')) return { kind: 'prefix', text: glob.slice(0, -1) }
  return glob.startsWith('*') ? { kind: 'suffix', text: glob.slice(1) } : { kind: 'equals', text: glob }
}

/** Whether a text fits. */
export function fits(text: string, { kind, text: constant }: TextPattern): boolean {
  if (kind === 'equals') return text === constant
  return kind === 'prefix' ? text.startsWith(constant) : text.endsWith(constant)
}

/** The term of one operand of `&&`: alternatives of one attribute or entry that `||` joins. */
export function joined(alternatives: readonly (TextTerm | undefined)[]): TextTerm | undefined {
  const [first] = alternatives
  if (first === undefined) return undefined
  const anyOf: TextPattern[] = []
  for (const term of alternatives) {
    if (term === undefined || term.attribute !== first.attribute || term.mapKey !== first.mapKey) return undefined
    anyOf.push(...term.anyOf)
  }
  return { attribute: first.attribute, mapKey: first.mapKey, anyOf }
}

/** For people: `== "text"`, `startsWith "text"`. */
export function patternText({ kind, text }: TextPattern): string {
  return `${OPERATORS[kind]} ${JSON.stringify(text)}`
}

const OPERATORS: Readonly<Record<TextPattern['kind'], string>> = {
  equals: '==',
  prefix: 'startsWith',
  suffix: 'endsWith',
}
