// Finds the longest of many texts that another text begins (or ends) with, in time that does not grow with their number.

import type { Side } from '../kernel/subject-test.ts'

interface Node<T> {
  /** The characters from the parent on, in the order in which they are walked. */
  label: string
  children: Map<number, Node<T>> | undefined
  value: T | undefined
}

/** A radix tree over texts that are beginnings or, walked from behind, endings. */
export class AffixTrie<T> {
  readonly #root: Node<T> = { label: '', children: undefined, value: undefined }
  readonly #fromEnd: boolean

  constructor(side: Side) {
    this.#fromEnd = side === 'suffix'
  }

  /** Adds a text; one that is there gets the new value. */
  set(affix: string, value: T): void {
    const text = this.#fromEnd ? reversed(affix) : affix
    let node = this.#root
    let at = 0
    while (at < text.length) {
      const next = node.children?.get(text.charCodeAt(at))
      if (next === undefined) {
        ;(node.children ??= new Map()).set(text.charCodeAt(at), { label: text.slice(at), children: undefined, value })
        return
      }
      const shared = sharedLength(next.label, text, at)
      if (shared < next.label.length) split(next, shared)
      node = next
      at += shared
    }
    node.value = value
  }

  /** The value of the longest known text that this one begins or ends with. */
  longest(text: string): T | undefined {
    const { length } = text
    let node: Node<T> | undefined = this.#root
    let found = node.value
    let at = 0
    while (at < length && node.children !== undefined) {
      node = node.children.get(text.charCodeAt(this.#fromEnd ? length - 1 - at : at))
      if (node === undefined || !this.#follows(node.label, text, at)) return found
      at += node.label.length
      if (node.value !== undefined) found = node.value
    }
    return found
  }

  /** Whether the text goes on with a label, whose first character is known to fit. */
  #follows(label: string, text: string, at: number): boolean {
    if (label.length > text.length - at) return false
    for (let i = 1; i < label.length; i++) {
      const place = this.#fromEnd ? text.length - 1 - at - i : at + i
      if (text.charCodeAt(place) !== label.charCodeAt(i)) return false
    }
    return true
  }
}

/** By code units: what is compared are those, and halves of surrogate pairs stay where they are. */
export function reversed(text: string): string {
  return text.split('').toReversed().join('')
}

function sharedLength(label: string, text: string, from: number): number {
  let length = 0
  while (length < label.length && from + length < text.length && label[length] === text[from + length]) length++
  return length
}

/** Makes a node of the rest of another's label, beneath it. */
function split<T>(node: Node<T>, at: number): void {
  const { label, children, value } = node
  node.children = new Map([[label.charCodeAt(at), { label: label.slice(at), children, value }]])
  node.label = label.slice(0, at)
  node.value = undefined
}
