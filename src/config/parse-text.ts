// From text to documents that know their places.

import { messageOf } from '../kernel/errors.ts'
import { isMap, LineCounter } from 'yaml'
import type { Problem } from '../kernel/problem.ts'
import { type ConfigNode, isNodeIssue, type MapNode, readNodes, type SourceFile } from './config-node.ts'
import { digestOf } from './digest.ts'
import { ProblemList } from './problem-list.ts'
import { atOnce, type Sliced } from './slices.ts'
import { type ReadDocument, yamlDocuments } from './yaml-documents.ts'

/** One object of a config: a YAML document, or an item of a `kind: List`. */
export interface ConfigDocument {
  readonly root: MapNode
}

/** The documents that could be read, and everything that could not. */
export interface LoadedDocuments {
  readonly documents: readonly ConfigDocument[]
  readonly problems: readonly Problem[]
}

export interface LoadedDomains extends LoadedDocuments {
  /** Those of which no more could be read than the name, and their file. */
  readonly unread: readonly { readonly name: string; readonly file: string }[]
}

export interface LoadedConfig extends LoadedDocuments {
  /** What it was read from: a file, a folder, or another name. */
  readonly name: string
  /** Documents of another kind that lie between the others: those with a `domain` are envoyproxy/ratelimit's. */
  readonly domains: LoadedDomains
  /** Changes with every byte of the input. */
  readonly digest: string
}

/** What several parts of a config say together, in their order. */
export function joined(name: string, parts: readonly LoadedConfig[]): LoadedConfig {
  return {
    name,
    documents: parts.flatMap(({ documents }) => documents),
    problems: parts.flatMap(({ problems }) => problems),
    domains: {
      documents: parts.flatMap(({ domains }) => domains.documents),
      problems: parts.flatMap(({ domains }) => domains.problems),
      unread: parts.flatMap(({ domains }) => domains.unread),
    },
    digest: digestOf(parts.map(({ digest }) => digest)),
  }
}

/** A part that could not be read as a whole. */
export function failedPart(file: string, code: string, message: string): LoadedConfig {
  const problems = [{ severity: 'error', code, file, line: 0, column: 0, path: '', message }] as const
  return { name: file, documents: [], problems, domains: NO_DOMAINS, digest: digestOf([file, message]) }
}

/** Reads all documents of a YAML (or JSON) text; `name` stands for it in problems. Never throws. */
export function parseConfigText(name: string, text: string): LoadedConfig {
  return { ...atOnce(parsing(name, text)), name, digest: digestOf([name, text]) }
}

/** The same in slices. Only a single object, or a list in flow style, with anchors or under directives, is read without a pause. */
export function* parsing(name: string, text: string): Sliced<Omit<LoadedConfig, 'name' | 'digest'>> {
  const objects = new DocumentList()
  const domains = new DocumentList()
  const unread: LoadedDomains['unread'][number][] = []
  const file: SourceFile = { name, text, lines: new LineCounter() }
  try {
    for (const document of yamlDocuments(file)) {
      if (document !== undefined) {
        const domain = domainOf(document)
        const isRead = yield* readDocument(
          document,
          file,
          domain === undefined ? objects : domains,
          domain !== undefined,
        )
        if (domain !== undefined && !isRead) unread.push({ name: domain, file: name })
      }
      yield
    }
  } catch (error) {
    objects.problems.inFile('error', file, 0, 'yaml-syntax', `the text cannot be parsed: ${messageOf(error)}`)
    return { documents: [], problems: objects.problems.all, domains: NO_DOMAINS }
  }
  return { ...objects.loaded, domains: { ...domains.loaded, unread } }
}

export const NO_DOMAINS: LoadedDomains = { documents: [], problems: [], unread: [] }

class DocumentList {
  readonly documents: ConfigDocument[] = []
  readonly problems = new ProblemList()

  get loaded(): LoadedDocuments {
    return { documents: this.documents, problems: this.problems.all }
  }
}

/** What it says, whatever else may be wrong with it; `undefined` where it is of another kind. */
function domainOf({ document: { contents } }: ReadDocument): string | undefined {
  if (!isMap(contents) || !contents.has('domain') || contents.has('kind') || contents.has('apiVersion'))
    return undefined
  const name: unknown = contents.get('domain')
  return typeof name === 'string' || typeof name === 'number' ? String(name) : ''
}

/** @returns whether there is nothing in the way of reading it */
function* readDocument(
  { document, path }: ReadDocument,
  file: SourceFile,
  { documents, problems }: DocumentList,
  mergesDeep: boolean,
): Sliced<boolean> {
  for (const { code, message, pos } of document.errors) {
    const text = code === 'DUPLICATE_KEY' ? 'this key stands in its map already: keep one of the two.' : message
    problems.inFile('error', file, pos[0], 'yaml-syntax', text)
  }
  for (const { message, pos } of document.warnings) problems.inFile('warning', file, pos[0], 'yaml-syntax', message)
  if (document.errors.length > 0) return false
  const root = readNodes(document, file, path, mergesDeep)
  yield
  if (isNodeIssue(root)) {
    problems.inFile('error', file, root.offset, 'yaml-value', root.message)
    return false
  }
  yield* collect(root, documents, problems)
  return true
}

/** Takes in one document: empty ones are left out, lists (as `kubectl get -o yaml` prints them) give their items. */
function* collect(root: ConfigNode, documents: ConfigDocument[], problems: ProblemList): Sliced<void> {
  if (root.kind === 'scalar' && root.value === undefined) return
  if (root.kind !== 'map') {
    problems.error(
      root,
      'wrong-type',
      'a document must be an object with apiVersion, kind, metadata and spec, or a domain of rate limits.',
    )
    return
  }
  const kind = root.entries.find(({ key }) => key === 'kind')?.value
  const items = root.entries.find(({ key }) => key === 'items')?.value
  if (kind?.kind === 'scalar' && kind.text === 'List' && items?.kind === 'list') {
    for (const item of items.items) yield* collect(item, documents, problems)
  } else {
    documents.push({ root })
  }
}
