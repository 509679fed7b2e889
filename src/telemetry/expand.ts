// Fan-out: from the records of a parcel to the batches of instances that each handler receives.

import { createHash } from 'node:crypto'
import { setImmediate as yieldToOthers } from 'node:timers/promises'
import { cutBatches } from '../adapter-kit/exporter/cut-batches.ts'
import { exportLimits } from '../adapter-kit/exporter/limits.ts'
import type { Aggregation, Aggregator } from '../adapter-kit/aggregation.ts'
import type { FieldValue, Instance } from '../adapter-kit/instance.ts'
import type { HandlerConfig } from '../config/snapshot.ts'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { IntermixError, messageOf } from '../kernel/errors.ts'
import type { Random } from '../kernel/ports.ts'
import { type DroppedRecords, recordFormat, type ReportBatch, type ReportFormats, unpacked } from '../kernel/report.ts'
import { nameOf } from './call-names.ts'
import type { DeliverBatch } from './deliver-batch.ts'
import type { Parcel } from './parcel.ts'

/** What one record makes for one handler by the report rules. */
export interface DispatchedInstance {
  readonly handler: HandlerConfig
  /** Without the observed field where it is to be added up; `undefined` where it could not be evaluated. */
  readonly instance: Instance | undefined
  /** The same object for all of a handler and template. */
  readonly aggregation?: Aggregation
  /** What the aggregation observes. */
  readonly observed?: FieldValue | undefined
}

/** A promise where attribute generators do I/O. `random` decides what is sampled. */
export type ReportDispatch = (
  bag: AttributeBag,
  random: Random,
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
  /** Instances that could not be evaluated while others of the same report could, by handler. */
  readonly notEvaluated: ReadonlyMap<string, number>
  /** Records that the parcel counts and that were dropped before it came. */
  readonly dropped: readonly DroppedRecords[]
}

const RECORDS_BETWEEN_YIELDS = 500

/**
 * Decodes and evaluates a parcel. The same parcel under the same config gives the same batches with the same ids.
 * A batch fails as a whole: none of its instances are then among the results.
 */
export async function expandParcel(parcel: Parcel, options: ExpandOptions): Promise<Expansion> {
  const groups = new Map<string, Group>()
  const notEvaluated = new Map<string, number>()
  const failed: { batch: ReportBatch; reason: string }[] = []
  const name = nameOf(parcel)
  const random = chancesOf(name)
  let sinceYield = 0
  let latest: Group | undefined
  const { batches: all, dropped } = takenApart(parcel, options.formats, failed)
  for (const batch of all) {
    try {
      const dispatched: DispatchedInstance[] = []
      for (const bag of decode(batch, options)) {
        const made = options.dispatch(bag, random)
        for (const item of made instanceof Promise ? await made : made) dispatched.push(item)
        if (++sinceYield % RECORDS_BETWEEN_YIELDS === 0) await yieldToOthers()
      }
      for (const item of dispatched) {
        const { handler, instance } = item
        if (instance !== undefined) {
          if (!latest?.takes(handler, instance.template)) latest = groupOf(groups, handler, instance.template)
          latest.add(instance, item)
        } else notEvaluated.set(handler.name, (notEvaluated.get(handler.name) ?? 0) + 1)
      }
    } catch (error) {
      failed.push({ batch, reason: messageOf(error) })
    }
  }
  return { batches: [...groups].flatMap(([key, group]) => group.batches(name, key)), failed, notEvaluated, dropped }
}

/** What the batches of a parcel hold. One that cannot be taken apart has failed as a whole. */
function takenApart(
  parcel: Parcel,
  formats: ReportFormats,
  failed: { batch: ReportBatch; reason: string }[],
): Pick<Expansion, 'dropped'> & { readonly batches: readonly ReportBatch[] } {
  const batches: ReportBatch[] = []
  const dropped: DroppedRecords[] = []
  for (const batch of parcel.batches) {
    try {
      const parts = unpacked({ ...batch, id: nameOf({ id: batch.id, replays: parcel.replays }) }, formats)
      batches.push(...parts.batches)
      dropped.push(...parts.dropped)
    } catch (error) {
      failed.push({ batch, reason: messageOf(error) })
    }
  }
  return { batches, dropped }
}

/**
 * Chances that fall the same way whenever the parcel is evaluated again: what was counted at the first time must be what is
 * queued at the second. Mulberry32 by Tommy Ettinger, seeded from its name.
 */
function chancesOf(parcelName: string): Random {
  let state: number | undefined
  return () => {
    state = ((state ?? createHash('sha256').update(parcelName).digest().readInt32LE()) + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function decode({ format: name, payload }: ReportBatch, { formats, vocabulary }: ExpandOptions): AttributeBag[] {
  const format = recordFormat(name, formats)
  if (format !== undefined) return format.decode(payload, vocabulary)
  const known = [...formats.keys()].join(', ')
  throw new IntermixError(
    'INVALID_REQUEST',
    `no reports of the format ${JSON.stringify(name)} can be read here (only ${known}): bring workers to the version of the nodes, then replay`,
  )
}

// Handler names hold no spaces.
function groupOf(groups: Map<string, Group>, handler: HandlerConfig, template: string): Group {
  const key = `${handler.name} ${template}`
  let group = groups.get(key)
  if (group === undefined) groups.set(key, (group = new Group(handler, template)))
  return group
}

/** What goes to one handler as one template, listed or added up. */
class Group {
  readonly #handler: HandlerConfig
  readonly #template: string
  readonly #instances: Instance[] = []
  readonly #series = new Map<Instance, unknown>()
  #aggregator: Aggregator | undefined

  constructor(handler: HandlerConfig, template: string) {
    this.#handler = handler
    this.#template = template
  }

  takes(handler: HandlerConfig, template: string): boolean {
    return handler === this.#handler && template === this.#template
  }

  add(instance: Instance, { aggregation, observed }: Omit<DispatchedInstance, 'instance'>): void {
    if (aggregation === undefined) {
      this.#instances.push(instance)
      return
    }
    const aggregator = (this.#aggregator ??= aggregation.open())
    let series = this.#series.get(instance)
    if (series === undefined) this.#series.set(instance, (series = aggregator.series(instance)))
    aggregator.observe(series, observed)
  }

  batches(parcelName: string, key: string): DeliverBatch[] {
    const digest = createHash('sha256').update(key).digest('hex').slice(0, 12)
    const { maxInstances } = exportLimits(this.#handler.adapter.reportLimits)
    const contents = [
      ...cutBatches(this.#instances, maxInstances).map((instances) => ({ count: instances.length, instances })),
      ...(this.#aggregator?.take() ?? []).map(({ content, ...rest }) => ({
        ...rest,
        instances: [],
        aggregate: content,
      })),
    ]
    const head = { handler: this.#handler.name, template: this.#template, replays: 0 }
    return contents.map((content, i) => ({ id: `${parcelName}-${digest}-${i}`, ...head, ...content }))
  }
}
