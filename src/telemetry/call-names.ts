// What comes again when an answer was lost, at this node or at another one, is known by the name of its call. Each try is a
// parcel of its own, so that the ledger of each node adds up; what is made of it has the same ids whichever try came first.

import { hash } from 'node:crypto'
import type { Parcel } from './parcel.ts'

/** Longer than any number that ends other ids. */
const NAME = /-([0-9a-f]{24})[0-9a-z]+$/

/** The id of a batch that may come again. @param next an id that no other batch has  @param call of all tries the same */
export function tryOf(next: string, call: string): string {
  const at = next.lastIndexOf('-') + 1
  return `${next.slice(0, at)}${hash('sha256', call, 'hex').slice(0, 24)}${next.slice(at)}`
}

/** Whether a batch may come again under another id: then it is a parcel by itself. */
export function mayComeAgain(batchId: string): boolean {
  return NAME.test(batchId)
}

/** By what the parcel is known, of all tries the same; its id, where it has no tries but its own. */
export function nameOf({ id, replays }: Pick<Parcel, 'id' | 'replays'>): string {
  const name = replays === 0 ? NAME.exec(id)?.[1] : undefined
  return name === undefined ? id : `call-${name}`
}
