// YAML as plain nodes that know their place: what every later step reads, so that each problem can name its position.

import { type Alias, type Document, isAlias, isMap, isNode, isScalar, isSeq, type LineCounter } from 'yaml'

/** One input file, to turn offsets into lines and columns. */
export interface SourceFile {
  readonly name: string
  readonly text: string
  readonly lines: LineCounter
}

interface Placed {
  readonly file: SourceFile
  /** Offset of the node in the file's text. */
  readonly offset: number
  /** Dotted path from the root of its document. */
  readonly path: string
}

/** How a scalar is written, as far as it matters for positions within it. */
export type ScalarStyle = 'plain' | 'single' | 'double' | 'block'

export interface ScalarNode extends Placed {
  readonly kind: 'scalar'
  readonly value: string | number | boolean | undefined
  /** The value as the author wrote it: numbers keep their digits, an empty value is ''. */
  readonly text: string
  readonly style: ScalarStyle
}

export interface MapEntry {
  readonly key: string
  readonly keyNode: ScalarNode
  readonly value: ConfigNode
}

export interface MapNode extends Placed {
  readonly kind: 'map'
  readonly entries: readonly MapEntry[]
}

export interface ListNode extends Placed {
  readonly kind: 'list'
  readonly items: readonly ConfigNode[]
}

export type ConfigNode = ScalarNode | MapNode | ListNode

/** What cannot be read as plain nodes; `offset` tells where. */
export interface NodeIssue {
  readonly offset: number
  readonly message: string
}

const MAX_NODES = 200_000
const MAX_DEPTH = 100

/**
 * Reads a parsed YAML document into nodes. Aliases are expanded and maps merged (`<<`), within bounds: at most 200 000 nodes
 * and a depth of 100 per document. `path` is where the document stands in a larger one.
 * @param mergesDeep whether a map beside a merged one is laid over it, as readers do that fill structures: envoyproxy/ratelimit.
 *   In YAML it replaces it.
 * @returns the root, or the first thing that stands in the way.
 */
export function readNodes(document: Document, file: SourceFile, path = '', mergesDeep = false): ConfigNode | NodeIssue {
  const reader = new NodeReader(file, mergesDeep)
  return reader.read(document.contents, path, 0, 0) ?? reader.issue
}

export function isNodeIssue(node: ConfigNode | NodeIssue): node is NodeIssue {
  return !('kind' in node)
}

class NodeReader {
  readonly #file: SourceFile
  readonly #mergesDeep: boolean
  /** The latest node of each anchor. The parser's own look-up searches the whole document for every alias. */
  readonly #anchors = new Map<string, unknown>()
  #expanding = 0
  #count = 0
  issue: NodeIssue = { offset: 0, message: '' }

  constructor(file: SourceFile, mergesDeep: boolean) {
    this.#file = file
    this.#mergesDeep = mergesDeep
  }

  read(node: unknown, path: string, depth: number, fallback: number): ConfigNode | undefined {
    const offset = offsetOf(node) ?? fallback
    if (++this.#count > MAX_NODES) return this.#fail(offset, `the document has more than ${MAX_NODES} values`)
    if (depth > MAX_DEPTH) return this.#fail(offset, `values are nested deeper than ${MAX_DEPTH} levels`)
    if (isAlias(node)) return this.#alias(node, path, depth, offset)
    if (isNode(node) && node.anchor !== undefined && this.#expanding === 0) this.#anchors.set(node.anchor, node)
    if (isMap(node)) return this.#map(node.items, path, depth, offset)
    if (isSeq(node)) {
      const items: ConfigNode[] = []
      for (const item of node.items) {
        const read = this.read(item, `${path}[${items.length}]`, depth + 1, offset)
        if (read === undefined) return undefined
        items.push(read)
      }
      return { kind: 'list', file: this.#file, offset, path, items }
    }
    return this.#scalar(node, path, offset)
  }

  #alias(node: Alias, path: string, depth: number, offset: number): ConfigNode | undefined {
    const target = this.#anchors.get(node.source)
    if (target === undefined) return this.#fail(offset, `the alias *${node.source} has no anchor &${node.source}`)
    this.#expanding++
    const expanded = this.read(target, path, depth + 1, offset)
    this.#expanding--
    return expanded
  }

  #map(pairs: readonly { key: unknown; value: unknown }[], path: string, depth: number, offset: number) {
    const entries: MapEntry[] = []
    const merged = new Map<string, MapEntry>()
    for (const pair of pairs) {
      const keyNode = this.#scalar(pair.key, path, offset)
      if (keyNode === undefined) return undefined
      if (isMergeKey(pair.key)) {
        const found = this.#merged(pair.value, path, depth, keyNode.offset)
        if (found === undefined) return undefined
        for (const entry of found) merged.set(entry.key, entry)
        // Readers differ: in YAML what stands in the map wins, wherever; in Go's older library what comes last.
        const twice = entries.find(({ key }) => merged.has(key))
        if (twice === undefined) continue
        return this.#fail(keyNode.offset, `"${twice.key}" stands before "<<", which brings one, too: put "<<" first`)
      }
      const key = keyNode.text
      const below = path === '' ? key : `${path}.${key}`
      const value = this.read(pair.value ?? undefined, below, depth + 1, keyNode.offset)
      if (value === undefined) return undefined
      entries.push(this.#over(merged.get(key), { key, keyNode: { ...keyNode, path: below }, value }))
      merged.delete(key)
    }
    const all = merged.size === 0 ? entries : [...merged.values(), ...entries]
    return { kind: 'map', file: this.#file, offset, path, entries: all } satisfies MapNode
  }

  /** What a merge key brings: of several maps, the first one that has a key. */
  #merged(value: unknown, path: string, depth: number, offset: number): readonly MapEntry[] | undefined {
    const maps: MapNode[] = []
    for (const each of isSeq(value) ? value.items : [value]) {
      const read = this.read(each ?? undefined, path, depth + 1, offset)
      if (read === undefined) return undefined
      if (read.kind !== 'map') return this.#fail(offset, '"<<" must have a map, or a list of maps')
      maps.push(read)
    }
    const all = new Map<string, MapEntry>()
    for (const { entries } of maps.toReversed())
      for (const entry of entries) all.set(entry.key, this.#over(all.get(entry.key), entry))
    return [...all.values()]
  }

  #over(below: MapEntry | undefined, entry: MapEntry): MapEntry {
    if (!this.#mergesDeep || below?.value.kind !== 'map' || entry.value.kind !== 'map') return entry
    const all = new Map(below.value.entries.map((each) => [each.key, each]))
    for (const each of entry.value.entries) all.set(each.key, this.#over(all.get(each.key), each))
    return { ...entry, value: { ...entry.value, entries: [...all.values()] } }
  }

  #scalar(node: unknown, path: string, offset: number): ScalarNode | undefined {
    const place = { kind: 'scalar', file: this.#file, path } as const
    if (node === undefined || node === null) return { ...place, offset, value: undefined, text: '', style: 'plain' }
    if (!isScalar(node)) return this.#fail(offsetOf(node) ?? offset, 'a key must be a plain string')
    const { value } = node
    const at = node.range?.[0] ?? offset
    if (value === null) return { ...place, offset: at, value: undefined, text: '', style: 'plain' }
    if (typeof value === 'string') return { ...place, offset: at, value, text: value, style: styleOf(node.type) }
    if (typeof value === 'number' || typeof value === 'boolean') {
      return { ...place, offset: at, value, text: node.source ?? String(value), style: 'plain' }
    }
    return this.#fail(at, 'only strings, numbers, booleans, lists and maps are allowed: put the value in quotes')
  }

  #fail(offset: number, message: string): undefined {
    this.issue = { offset, message }
    return undefined
  }
}

function isMergeKey(key: unknown): boolean {
  return isScalar(key) && key.value === '<<' && key.type === 'PLAIN'
}

function offsetOf(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return undefined
  const from: unknown = node.range[0]
  return typeof from === 'number' ? from : undefined
}

function styleOf(type: string | undefined): ScalarStyle {
  if (type === 'QUOTE_DOUBLE') return 'double'
  if (type === 'QUOTE_SINGLE') return 'single'
  return type === 'BLOCK_LITERAL' || type === 'BLOCK_FOLDED' ? 'block' : 'plain'
}

/** The node as plain data, keys in the order of the file. */
export function toPlain(node: ConfigNode): unknown {
  if (node.kind === 'scalar') return node.value ?? null
  if (node.kind === 'list') return node.items.map(toPlain)
  return Object.fromEntries(node.entries.map(({ key, value }) => [key, toPlain(value)]))
}
