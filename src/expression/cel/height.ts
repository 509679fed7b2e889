// How deeply an expression is nested. What is compiled calls itself once a level, so that depth is stack.

import type { ASTNode } from '@marcbachmann/cel-js'
import { SourceError } from '../source-error.ts'
import { operandsOf } from './analysis.ts'

/** A chain of operators counts, too: `a || b || c` is nested twice. */
const MAX_HEIGHT = 1_000

/** @throws SourceError for an expression that is nested too deeply to be evaluated at any depth of the caller's stack. */
export function checkHeight(root: ASTNode): void {
  let level: readonly ASTNode[] = [root]
  for (let height = 1; level.length > 0; height++) {
    const [first] = level
    if (height > MAX_HEIGHT && first !== undefined) {
      const message = `expression is nested more than ${MAX_HEIGHT} levels deep, operators in a row included`
      throw new SourceError(message, first.start, first.end)
    }
    level = level.flatMap(operandsOf)
  }
}
