// How deliver batches are taken apart: where a backend took some of the instances, or wants them in smaller batches.

import type { Parts } from '../adapter-kit/exporter/parts.ts'
import type { DeliverBatch } from './deliver-batch.ts'

/** Of what was added up no part can be picked. */
export const BATCH_PARTS: Parts<DeliverBatch> = {
  size: ({ count }) => count,
  pick(batch, places, word) {
    const { handler, template, replays } = batch
    if (batch.aggregate !== undefined) return undefined
    const instances = places.flatMap((place) => batch.instances[place] ?? [])
    return { handler, template, replays, id: partId(batch.id, word), count: instances.length, instances }
  },
}

// A rest of a rest has a number instead of another word, as there may be thousands of tries.
function partId(id: string, word: string): string {
  const [, whole = id, number = '0'] = (word === 'p' && /^(.*)-p(\d+)$/.exec(id)) || []
  return word === 'p' ? `${whole}-p${Number(number) + 1}` : `${id}-${word}`
}
