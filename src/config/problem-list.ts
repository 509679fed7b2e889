// Collects problems with their places, so that one run tells everything that is wrong.

import type { Problem } from '../kernel/problem.ts'
import type { ConfigNode, ScalarNode, SourceFile } from './config-node.ts'
import { offsetInScalar } from './scalar-offset.ts'

/** Everything found wrong or doubtful so far. Bounded: beyond 1000 problems more of them help nobody. */
export class ProblemList {
  static readonly limit = 1000
  readonly #problems: Problem[] = []
  #errors = 0

  get all(): readonly Problem[] {
    return this.#problems
  }

  /** How many errors were found, those beyond the limit included. */
  get errorCount(): number {
    return this.#errors
  }

  /** An error at a node: the config is not usable. */
  error(node: ConfigNode, code: string, message: string): void {
    this.#addAt('error', node.file, node.offset, node.path, code, message)
  }

  warn(node: ConfigNode, code: string, message: string): void {
    this.#addAt('warning', node.file, node.offset, node.path, code, message)
  }

  /** A problem at the character `index` of a scalar's text. */
  within(severity: Problem['severity'], scalar: ScalarNode, index: number, code: string, message: string): void {
    this.#addAt(severity, scalar.file, offsetInScalar(scalar, index), scalar.path, code, message)
  }

  /** A problem of a file as a whole or at an offset of it, outside any node. */
  inFile(severity: Problem['severity'], file: SourceFile, offset: number, code: string, message: string): void {
    this.#addAt(severity, file, offset, '', code, message)
  }

  push(problem: Problem): void {
    if (problem.severity === 'error') this.#errors++
    if (this.#problems.length < ProblemList.limit) this.#problems.push(problem)
  }

  #addAt(
    severity: Problem['severity'],
    file: SourceFile,
    offset: number,
    path: string,
    code: string,
    message: string,
  ): void {
    const { line, col } = file.lines.linePos(offset)
    this.push({ severity, code, file: file.name, line, column: col, path, message })
  }
}

/** `file:line:column` of a node, for messages that name a second place. */
export function placeOf(node: ConfigNode): string {
  const { line, col } = node.file.lines.linePos(node.offset)
  return `${node.file.name}:${line}:${col}`
}

/** Problems by file, line and column, errors before warnings at the same place. */
export function sortProblems(problems: readonly Problem[]): readonly Problem[] {
  return problems.toSorted(
    (a, b) =>
      compareText(a.file, b.file) ||
      a.line - b.line ||
      a.column - b.column ||
      compareText(a.severity, b.severity) ||
      compareText(a.message, b.message),
  )
}

/** Orders strings by code unit, the same on every machine and locale. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
