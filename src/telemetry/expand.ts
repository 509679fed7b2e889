// Fan-out: from the records of a parcel to the batches of instances that each handler receives.

import { createHash } from 'node:crypto'
import { setImmediate as yieldToOthers } from 'node:timers/promises'
import { cutBatches } from '../adapter-kit/exporter/cut-batches.ts'
import { exportLimits } from '../adapter-kit/exporter/limits.ts'
import type { Instance } from '../adapter-kit/instance.ts'
import type { HandlerConfig } from '../config/snapshot.ts'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { ReportBatch, ReportFormats } from '../kernel/report.ts'
import type { DeliverBatch } from './deliver-batch.ts'
import type { Parcel } from './parcel.ts'

/** One instance for one handler, made from one record by the report rules. */
export interface DispatchedInstance {
  readonly handler: HandlerConfig
  readonly instance: Instance
}

/** A promise where attribute generators do I/O. */
export type ReportDispatch = (
  bag: AttributeBag,
) => readonly DispatchedInstance[] | Promise<readonly DispatchedInstance[]>

interface ExpandOptions {
  readonly formats: ReportFormats
  readonly vocabulary: Vocabulary
  readonly dispatch: ReportDispatch
}

interface Expansion {
  readonly batches: readonly DeliverBatch[]
  /** Batches that could not be decoded or evaluated, with the reason. */
  readonly failed: readonly { readonly batch: ReportBatch; readonly reason: string }[]
}

/** What goes to one handler as one template. */
interface Group {
  readonly handler: HandlerConfig
  readonly template: string
  readonly instances: Instance[]
}

const RECORDS_BETWEEN_YIELDS = 500

/**
 * Decodes and evaluates a parcel. The same parcel under the same config gives the same batches with the same ids.
 * A batch fails as a whole: none of its instances are then among the results.
 */
export async function expandParcel(parcel: Parcel, options: ExpandOptions): Promise<Expansion> {
  const groups = new Map<string, Group>()
  const failed: { batch: ReportBatch; reason: string }[] = []
  let sinceYield = 0
  for (const batch of parcel.batches) {
    try {
      const dispatched: DispatchedInstance[] = []
      for (const bag of decode(batch, options)) {
        for (const item of await options.dispatch(bag)) dispatched.push(item)
        if (++sinceYield % RECORDS_BETWEEN_YIELDS === 0) await yieldToOthers()
      }
      for (const item of dispatched) collect(groups, item)
    } catch (error) {
      failed.push({ batch, reason: error instanceof Error ? error.message : String(error) })
    }
  }
  return { batches: [...groups].flatMap(([key, group]) => cut(parcel.id, key, group)), failed }
}

function decode({ format: name, payload }: ReportBatch, { formats, vocabulary }: ExpandOptions): AttributeBag[] {
  const format = formats.get(name)
  if (format !== undefined) return format.decode(payload, vocabulary)
  const known = [...formats.keys()].join(', ')
  throw new IntermixError(
    'INVALID_REQUEST',
    `no reports of the format ${JSON.stringify(name)} can be read here (only ${known}): bring workers to the version of the nodes, then replay`,
  )
}

// Handler names hold no spaces.
function collect(groups: Map<string, Group>, { handler, instance }: DispatchedInstance): void {
  const { template } = instance
  const key = `${handler.name} ${template}`
  const group = groups.get(key)
  if (group === undefined) groups.set(key, { handler, template, instances: [instance] })
  else group.instances.push(instance)
}

function cut(parcelId: string, key: string, { handler, template, instances }: Group): DeliverBatch[] {
  const digest = createHash('sha256').update(key).digest('hex').slice(0, 12)
  const { maxInstances } = exportLimits(handler.adapter.reportLimits)
  return cutBatches(instances, maxInstances).map((piece, i) => ({
    id: `${parcelId}-${digest}-${i}`,
    handler: handler.name,
    template,
    replays: 0,
    count: piece.length,
    instances: piece,
  }))
}
