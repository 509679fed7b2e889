// Types of CEXL expressions, checked against the vocabulary, with Mixer's messages.

import type { Vocabulary } from '../../kernel/attribute-bag.ts'
import type { ValueType } from '../../kernel/value.ts'
import type { ExpressionProblem } from '../compiled.ts'
import { type Call, type Node, nodeText } from './ast.ts'
import type { Signatures } from './signatures.ts'

/** The types of all nodes, and what is wrong; the first problem is the one that Mixer reports. */
export interface CheckResult {
  readonly types: ReadonlyMap<Node, ValueType>
  readonly problems: readonly ExpressionProblem[]
}

/** Checks a tree. A subtree with a mistake has no type, and what uses it is not blamed. */
export function checkCexl(root: Node, vocabulary: Vocabulary, signatures: Signatures): CheckResult {
  const checker = new Checker(vocabulary, signatures)
  checker.typeOf(root)
  return checker
}

class Checker implements CheckResult {
  readonly types = new Map<Node, ValueType>()
  readonly problems: ExpressionProblem[] = []
  readonly #vocabulary: Vocabulary
  readonly #signatures: Signatures

  constructor(vocabulary: Vocabulary, signatures: Signatures) {
    this.#vocabulary = vocabulary
    this.#signatures = signatures
  }

  typeOf(node: Node): ValueType | undefined {
    const type = this.#typeOf(node)
    if (type !== undefined) this.types.set(node, type)
    return type
  }

  #typeOf(node: Node): ValueType | undefined {
    if (node.kind === 'constant') return node.type
    if (node.kind === 'call') return this.#typeOfCall(node)
    return this.#vocabulary.get(node.name) ?? this.#report(node, `unknown attribute ${node.name}`)
  }

  #typeOfCall(call: Call): ValueType | undefined {
    const signature = this.#signatures.get(call.name)
    if (signature === undefined) return this.#report(call, `unknown function: ${call.name}`)
    let any: ValueType | undefined
    if (call.target !== undefined) {
      if (!signature.instance) return this.#report(call, `invoking regular function on instance method: ${call.name}`)
      const type = this.typeOf(call.target)
      if (signature.target === undefined) any = type
      else if (type !== undefined && type !== signature.target) {
        this.#report(call.target, `${nodeText(call)} target typeError got ${type}, expected ${signature.target}`)
      }
    } else if (signature.instance) {
      return this.#report(call, `invoking instance method without an instance: ${call.name}`)
    }
    if (call.args.length < signature.args.length) {
      const counts = `Got ${call.args.length} arg(s), expected ${signature.args.length} arg(s)`
      return this.#report(call, `${nodeText(call)} arity mismatch. ${counts}`)
    }
    for (const [i, declared] of signature.args.entries()) {
      const arg = call.args[i] as Node
      const type = this.typeOf(arg)
      const expected = declared ?? any
      if (expected === undefined) any = type
      else if (type !== undefined && type !== expected) {
        const place = `${nodeText(call)} arg ${i + 1} (${nodeText(arg)})`
        this.#report(arg, `${place} typeError got ${type}, expected ${expected}`)
      }
    }
    return signature.returns ?? any
  }

  #report({ start, end }: Node, message: string): undefined {
    this.problems.push({ message, column: start + 1, length: Math.max(1, end - start) })
  }
}
