// Batches that end in parts: those of which a backend took some instances, and those that were too large for it.

import { IntermixError } from '../../kernel/errors.ts'
import type { ReportResult } from '../define-adapter.ts'
import type { Ended, Part } from './sending-queue.ts'

/** Different reasons of instances that end up in one text. */
const MOST_REASONS = 3

/** How batches are taken apart. */
export interface Parts<B> {
  size(batch: B): number
  /**
   * The instances at these places, as a batch whose id follows from the batch's own and a word of letters and digits;
   * `undefined` where the batch is not made of instances any more.
   */
  pick(batch: B, places: readonly number[], word: string): B | undefined
}

/** Halves of a batch that is too large for its backend: the first goes on at once. `undefined` where it has none. */
export function halvesOf<B>(batch: B, parts: Parts<B>): Part<B> | undefined {
  const places = Array.from({ length: parts.size(batch) }, (_, i) => i)
  if (places.length < 2) return undefined
  const middle = Math.ceil(places.length / 2)
  const first = parts.pick(batch, places.slice(0, middle), 'a')
  const second = parts.pick(batch, places.slice(middle), 'b')
  if (first === undefined || second === undefined) return undefined
  return { kind: 'part', delivered: 0, ended: [], more: [second], rest: first }
}

/**
 * What a backend's answer makes of a batch: those that it refused end as a batch of their own, those that it asks for again
 * are the rest. `undefined` where it took all of them.
 *
 * @throws IntermixError what the whole batch failed with, where the backend took nothing and says one thing of all
 */
export function partOf<B>(batch: B, answer: ReportResult | undefined, parts: Parts<B>): Part<B> | undefined {
  const failed = answer?.failed ?? []
  if (failed.length === 0) return undefined
  const size = parts.size(batch)
  const refused = failed.filter(({ retry }) => !retry)
  const again = failed.filter(({ retry }) => retry)
  const delivered = size - failed.length
  if (again.length === size) throw new IntermixError('BACKEND_FAILED', reasonsOf(again))
  if (refused.length === size) throw new IntermixError('BACKEND_REFUSED', reasonsOf(refused))
  const places = (list: typeof failed) => list.map(({ index }) => index).toSorted((a, b) => a - b)
  const rest = parts.pick(batch, places(again), 'p')
  const ended = refused.length === 0 ? undefined : parts.pick(batch, places(refused), 'x')
  if (rest === undefined || (ended === undefined && refused.length > 0)) {
    throw new IntermixError('BACKEND_REFUSED', `a batch that cannot be taken apart: ${reasonsOf(failed)}`)
  }
  const outcome: Ended = {
    kind: 'ended',
    why: 'refused',
    error: new IntermixError('BACKEND_REFUSED', reasonsOf(refused)),
  }
  return { kind: 'part', delivered, ended: ended === undefined ? [] : [{ batch: ended, outcome }], more: [], rest }
}

function reasonsOf(failed: ReportResult['failed']): string {
  return [...new Set(failed.map(({ reason }) => reason))].slice(0, MOST_REASONS).join('; ')
}
