// A version of a config: the files of a folder, which never change. What it is called follows from what it says.

import { createHash } from 'node:crypto'
import { IntermixError } from '../kernel/errors.ts'

/** One file of a version: its path in the folder, with `/` between names, and its text. */
export interface ConfigFile {
  readonly path: string
  readonly text: string
}

/** What somebody said of a version when it was first published. */
export interface VersionFacts {
  readonly author: string
  readonly message: string
  /** The version that was stable then. */
  readonly parent?: string
}

/** What is known of a version beside its files. */
export interface VersionMeta extends VersionFacts {
  readonly id: string
  /** When it was published first, in ms on the clock of Redis. */
  readonly at: number
  readonly files: number
  /** Of all texts. */
  readonly bytes: number
}

export interface ConfigVersion {
  readonly meta: VersionMeta
  /** By path. */
  readonly files: readonly ConfigFile[]
}

/** Bounds of one version. */
export const VERSION_BOUNDS = {
  files: 1_000,
  /** Of all texts together. */
  bytes: 32 * 1024 * 1024,
  pathLength: 512,
} as const

/** Digits of an id that people are shown; more of them where they tell no two apart. */
const SHOWN_DIGITS = 12
const ID = /^[0-9a-f]{64}$/

/** Whether a text is an id in full: SHA-256 in hexadecimal digits. */
export function isVersionId(text: string): boolean {
  return ID.test(text)
}

/** The first digits of an id. */
export function shortId(id: string): string {
  return id.slice(0, SHOWN_DIGITS)
}

/** The files in the order of their paths, by code units: the same set always makes the same list. */
export function inOrder(files: readonly ConfigFile[]): readonly ConfigFile[] {
  return files.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
}

/**
 * SHA-256 of what the files say. Each path and text goes in behind its length, so that no two sets run together alike.
 * Neither the order in which they are given counts, nor where the folder lies.
 */
export function versionId(files: readonly ConfigFile[]): string {
  const hash = createHash('sha256').update('intermix config 1\n')
  for (const { path, text } of inOrder(files)) {
    for (const part of [path, text]) hash.update(`${Buffer.byteLength(part)}:`).update(part)
  }
  return hash.digest('hex')
}

/** Bytes of all texts. */
export function bytesOf(files: readonly ConfigFile[]): number {
  return files.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)
}

/** What is too much about a set of files, or wrong with their paths; all of it. */
export function versionProblems(files: readonly ConfigFile[]): string[] {
  const problems: string[] = []
  if (files.length === 0) problems.push('a version has at least one file')
  if (files.length > VERSION_BOUNDS.files)
    problems.push(`${files.length} files: a version has at most ${VERSION_BOUNDS.files}`)
  const bytes = bytesOf(files)
  if (bytes > VERSION_BOUNDS.bytes)
    problems.push(`${bytes} bytes: a version has at most ${VERSION_BOUNDS.bytes} in all files`)
  const seen = new Set<string>()
  for (const { path } of files) {
    if (!isPath(path)) problems.push(`${JSON.stringify(path.slice(0, 80))}: not a path of a file in a folder`)
    if (seen.has(path)) problems.push(`${JSON.stringify(path)}: two files have this path`)
    seen.add(path)
  }
  return problems
}

/** @throws IntermixError TOO_LARGE with all that `versionProblems` finds. */
export function assertVersion(files: readonly ConfigFile[]): void {
  const problems = versionProblems(files)
  if (problems.length > 0) throw new IntermixError('TOO_LARGE', problems.join('; '))
}

/** Relative, and leads nowhere else: whoever writes a version to a disk may rely on it. */
function isPath(path: string): boolean {
  if (path === '' || path.length > VERSION_BOUNDS.pathLength || /[\p{Cc}\\]/u.test(path)) return false
  return path.split('/').every((name) => name !== '' && name !== '.' && name !== '..')
}
