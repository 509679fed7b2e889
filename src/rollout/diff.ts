// What differs between two versions, file by file, as a unified diff.

import { createTwoFilesPatch, FILE_HEADERS_ONLY } from 'diff'
import type { ConfigFile } from './version.ts'

export interface FileDiff {
  readonly path: string
  readonly change: 'added' | 'removed' | 'changed'
  /** A patch that `patch -p1` takes; of files that it would take too long to compare, only their names. */
  readonly patch: string
}

/** Lines around each change. */
const CONTEXT = 3
const TIMEOUT_MS = 5_000
const NOWHERE = '/dev/null'

/** Files that differ, by path. */
export function diffOf(before: readonly ConfigFile[], after: readonly ConfigFile[]): readonly FileDiff[] {
  const [old, now] = [textsOf(before), textsOf(after)]
  const paths = [...new Set([...old.keys(), ...now.keys()])].toSorted()
  return paths.flatMap((path) => {
    const [one, other] = [old.get(path), now.get(path)]
    if (one === other) return []
    const change = one === undefined ? 'added' : other === undefined ? 'removed' : 'changed'
    return [{ path, change, patch: patchOf(path, one, other) }]
  })
}

function textsOf(files: readonly ConfigFile[]): ReadonlyMap<string, string> {
  return new Map(files.map(({ path, text }) => [path, text]))
}

function patchOf(path: string, before: string | undefined, after: string | undefined): string {
  const [from, to] = [before === undefined ? NOWHERE : `a/${path}`, after === undefined ? NOWHERE : `b/${path}`]
  const options = { context: CONTEXT, timeout: TIMEOUT_MS, headerOptions: FILE_HEADERS_ONLY }
  const patch = createTwoFilesPatch(from, to, before ?? '', after ?? '', undefined, undefined, options)
  return patch ?? `--- ${from}\n+++ ${to}\n(they differ in too much to be compared)\n`
}
