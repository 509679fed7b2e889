// Reads config text and config folders into documents that know their places.

import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LineCounter, parseAllDocuments, type Document } from 'yaml'
import type { Problem } from '../kernel/problem.ts'
import { type ConfigNode, isNodeIssue, type MapNode, readNodes, type SourceFile } from './config-node.ts'
import { digestOf } from './digest.ts'
import { ProblemList } from './problem-list.ts'

/** One object of a config: a YAML document, or an item of a `kind: List`. */
export interface ConfigDocument {
  readonly root: MapNode
}

/** The documents that could be read, and everything that could not. */
export interface LoadedConfig {
  readonly documents: readonly ConfigDocument[]
  readonly problems: readonly Problem[]
  /** Changes with every byte of the input. */
  readonly digest: string
}

const MAX_FILE_BYTES = 16 * 1024 * 1024
const MAX_FILES = 10_000
const ATTEMPTS = 3

/** Reads all documents of a YAML (or JSON) text; `name` stands for it in problems. Never throws. */
export function parseConfigText(name: string, text: string): LoadedConfig {
  const problems = new ProblemList()
  const file: SourceFile = { name, text, lines: new LineCounter() }
  const documents: ConfigDocument[] = []
  for (const document of parseYaml(file, problems)) {
    for (const { code, message, pos } of document.errors) {
      const text = code === 'DUPLICATE_KEY' ? 'this key stands in its map already: keep one of the two.' : message
      problems.inFile('error', file, pos[0], 'yaml-syntax', text)
    }
    for (const { message, pos } of document.warnings) problems.inFile('warning', file, pos[0], 'yaml-syntax', message)
    if (document.errors.length > 0) continue
    const root = readNodes(document, file)
    if (isNodeIssue(root)) problems.inFile('error', file, root.offset, 'yaml-value', root.message)
    else collect(root, documents, problems)
  }
  return { documents, problems: problems.all, digest: digestOf([name, text]) }
}

/**
 * Reads every `.yaml`, `.yml` and `.json` file of a folder, in the order of their names, symbolic links followed and
 * sub-folders and hidden files left alone. A folder that Kubernetes mounts from a ConfigMap is read as a whole: when its
 * `..data` link is swapped meanwhile, reading starts again. Files that cannot be read are problems; never throws.
 */
export async function loadConfigFolder(folder: string): Promise<LoadedConfig> {
  let loaded: LoadedConfig = { documents: [], problems: [], digest: '' }
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = await mountedVersion(folder)
    loaded = await readFolder(folder)
    if (before === (await mountedVersion(folder))) break
  }
  return loaded
}

/** A text that changes when a config file of the folder does, by size, times and inode; it costs no reading. */
export async function folderFingerprint(folder: string): Promise<string> {
  try {
    return JSON.stringify([await mountedVersion(folder), ...(await listConfigFiles(folder))])
  } catch (error) {
    return `unreadable: ${messageOf(error)}`
  }
}

async function listConfigFiles(folder: string): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.') && /\.(ya?ml|json)$/i.test(name))
  const files = new Map<string, string>()
  for (const name of names.toSorted().slice(0, MAX_FILES)) {
    const path = join(folder, name)
    try {
      const status = await stat(path, { bigint: true })
      if (!status.isFile()) continue
      files.set(path, `${status.size}:${status.mtimeNs}:${status.ctimeNs}:${status.ino}`)
    } catch {
      files.set(path, 'unreadable')
    }
  }
  return files
}

async function readFolder(folder: string): Promise<LoadedConfig> {
  const parts: LoadedConfig[] = []
  try {
    for (const path of (await listConfigFiles(folder)).keys()) parts.push(await readConfigFile(path))
    if (parts.length === 0) {
      // An empty folder is far likelier a mount that failed than a wish to allow everything.
      parts.push(unreadable(folder, 'the folder holds no config: no file .yaml, .yml or .json.'))
    }
  } catch (error) {
    parts.push(unreadable(folder, `the folder cannot be read: ${messageOf(error)}`))
  }
  return {
    documents: parts.flatMap(({ documents }) => documents),
    problems: parts.flatMap(({ problems }) => problems),
    digest: digestOf(parts.map(({ digest }) => digest)),
  }
}

async function readConfigFile(path: string): Promise<LoadedConfig> {
  try {
    const bytes = await readFile(path)
    if (bytes.length > MAX_FILE_BYTES) return unreadable(path, 'the file is larger than 16 MiB: split it.')
    return parseConfigText(path, new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    return unreadable(path, `the file cannot be read: ${messageOf(error)}`)
  }
}

function parseYaml(file: SourceFile, problems: ProblemList): readonly Document[] {
  try {
    const documents = parseAllDocuments(file.text, { lineCounter: file.lines, prettyErrors: false, strict: true })
    return Array.isArray(documents) ? documents : []
  } catch (error) {
    // The parser recurses: text that is nested many thousand levels deep exhausts its stack.
    problems.inFile('error', file, 0, 'yaml-syntax', `the text cannot be parsed: ${messageOf(error)}`)
    return []
  }
}

/** Takes in one document: empty ones are left out, lists (as `kubectl get -o yaml` prints them) give their items. */
function collect(root: ConfigNode, documents: ConfigDocument[], problems: ProblemList): void {
  if (root.kind === 'scalar' && root.value === undefined) return
  if (root.kind !== 'map') {
    problems.error(root, 'wrong-type', 'a document must be an object with apiVersion, kind, metadata and spec.')
    return
  }
  const kind = root.entries.find(({ key }) => key === 'kind')?.value
  const items = root.entries.find(({ key }) => key === 'items')?.value
  if (kind?.kind === 'scalar' && kind.text === 'List' && items?.kind === 'list') {
    for (const item of items.items) collect(item, documents, problems)
  } else {
    documents.push({ root })
  }
}

async function mountedVersion(folder: string): Promise<string | undefined> {
  return realpath(join(folder, '..data')).catch(() => undefined)
}

function unreadable(file: string, message: string): LoadedConfig {
  const place = { severity: 'error', code: 'unreadable-file', file, line: 0, column: 0, path: '' } as const
  return { documents: [], problems: [{ ...place, message }], digest: digestOf([file, message]) }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
