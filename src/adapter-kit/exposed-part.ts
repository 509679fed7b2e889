// What adapters offer for others to fetch, in parts that can be put together with those of other processes.

/** A part of a text. Parts of one key, from several handlers and processes, become one: the first's head, all bodies. Without a key all stay. */
export interface ExposedPart {
  readonly key: string
  /** Of whole lines. */
  readonly head: string
  /** Of whole lines too, in pieces of a size that can be handled at once. */
  readonly body: readonly string[]
}

/** A body, whole or in parts. */
export type Exposed = string | readonly ExposedPart[]

export function partsOf(exposed: Exposed): readonly ExposedPart[] {
  return typeof exposed === 'string' ? [{ key: '', head: exposed, body: [] }] : exposed
}

/** Puts parts of one key together, in the order in which the keys come. */
export function joinParts(all: readonly (readonly ExposedPart[])[]): readonly ExposedPart[] {
  const byKey = new Map<string, ExposedPart>()
  for (const part of all.flat()) {
    const first = byKey.get(part.key)
    const body = part.key === '' ? [part.head, ...part.body] : part.body
    byKey.set(part.key, first === undefined ? part : { ...first, body: [...first.body, ...body] })
  }
  return [...byKey.values()]
}

/** All of the text, in pieces. */
export function piecesOf(parts: readonly ExposedPart[]): readonly string[] {
  return parts.flatMap(({ head, body }) => [head, ...body])
}
