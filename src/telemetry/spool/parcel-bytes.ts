// A parcel as bytes on disk: the length of a head, the head as JSON, and the payloads as they came.

import { IntermixError } from '../../kernel/errors.ts'
import type { ReportBatch } from '../../kernel/report.ts'
import { asPromised, type Parcel, parcelOf } from '../parcel.ts'

type BatchHead = Omit<ReportBatch, 'payload'> & { readonly bytes: number }

interface ParcelHead extends Pick<Parcel, 'id' | 'replays' | 'rules' | 'replicated'> {
  readonly version: 1
  readonly batches: readonly BatchHead[]
}

export function parcelToBytes({ id, replays, rules, replicated, batches }: Parcel): Buffer {
  const heads = batches.map(({ payload, ...rest }): BatchHead => ({ ...rest, bytes: payload.byteLength }))
  const promised = replicated === true ? { replicated } : {}
  const facts: ParcelHead = { version: 1, id, replays, rules, ...promised, batches: heads }
  const head = Buffer.from(JSON.stringify(facts))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(head.length)
  return Buffer.concat([length, head, ...batches.map(({ payload }) => payload)])
}

/** @throws Error where these are not the bytes of a parcel of this version. */
export function parcelFromBytes(bytes: Buffer): Parcel {
  let at = 4 + bytes.readUInt32LE(0)
  const { version, id, replays, rules, replicated, batches } = JSON.parse(bytes.toString('utf8', 4, at)) as ParcelHead
  if (version !== 1) {
    throw new IntermixError(
      'INVALID_REQUEST',
      `a parcel on disk has version ${String(version)}; this node reads version 1`,
    )
  }
  const [first, ...rest] = batches.map(({ bytes: length, ...batch }): ReportBatch => {
    const payload = new Uint8Array(bytes.subarray(at, at + length))
    at += length
    return { ...batch, payload }
  })
  if (first === undefined) throw new IntermixError('INVALID_REQUEST', 'a parcel on disk holds no batch')
  return asPromised(parcelOf([first, ...rest], id, replays, rules), replicated)
}
