// Batches for tests of the chain: texts in which each letter is an instance.

import type { Parts } from '../../../src/adapter-kit/exporter/parts.ts'

export interface Letters {
  readonly id: string
  readonly text: string
}

export const LETTERS: Parts<Letters> = {
  size: ({ text }) => text.length,
  pick: ({ id, text }, places, word) => ({ id: `${id}-${word}`, text: places.map((place) => text[place]).join('') }),
}
