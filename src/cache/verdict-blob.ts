// The mesh tier's form of a verdict: versioned JSON that names the key it belongs to, so that whatever else is found
// in Redis (another version's entry, garbage, a value under the wrong key) is recognised and taken for a miss.

import { Duration, Timestamp } from '../kernel/time.ts'
import { type AttributeValue, isStringMap } from '../kernel/value.ts'
import type { Verdict } from '../kernel/verdict.ts'
import type { Epoch } from './revocations.ts'

const VERSION = 1

export interface VerdictBlob {
  readonly verdict: Verdict
  readonly epoch: Epoch
  readonly fetchMs: number
}

/** Encodes a verdict for the mesh tier. */
export function encodeBlob(key: string, { verdict, epoch, fetchMs }: VerdictBlob): string {
  const { kind, status, validForMs, validUses, directResponse, output } = verdict
  return JSON.stringify({
    version: VERSION,
    key,
    kind,
    code: status.code,
    message: status.message,
    validForMs,
    validUses,
    directResponse,
    output: output === undefined ? undefined : Object.entries(output).map(([name, value]) => [name, ...encode(value)]),
    generation: epoch.generation,
    sequence: epoch.sequence,
    fetchMs,
  })
}

/** Decodes a blob; `undefined` for anything that this version did not write for this key. */
export function decodeBlob(key: string, text: string): VerdictBlob | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined
  const blob = parsed as Record<string, unknown>
  if (blob['version'] !== VERSION || blob['key'] !== key) return undefined
  const { kind, code, message, validForMs, validUses, generation, sequence, fetchMs } = blob
  if (kind !== 'allow' && kind !== 'deny') return undefined
  if (!isCount(code) || (kind === 'allow') !== (code === 0) || typeof message !== 'string') return undefined
  if (!isCount(validForMs) || !isCount(validUses) || !isCount(sequence) || typeof generation !== 'string')
    return undefined
  const direct = blob['directResponse']
  const output = decodeOutput(blob['output'])
  return {
    verdict: {
      kind,
      status: { code, message },
      validForMs,
      validUses,
      ...(isDirectResponse(direct) ? { directResponse: direct } : {}),
      ...(output === undefined ? {} : { output }),
    },
    epoch: { generation, sequence },
    fetchMs: typeof fetchMs === 'number' && fetchMs >= 0 ? fetchMs : 0,
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function isDirectResponse(value: unknown): value is NonNullable<Verdict['directResponse']> {
  if (typeof value !== 'object' || value === null) return false
  const { code, body, headers } = value as Record<string, unknown>
  return isCount(code) && typeof body === 'string' && typeof headers === 'object' && headers !== null
}

function encode(value: AttributeValue): [tag: string, text: unknown] {
  if (typeof value === 'bigint') return ['i', String(value)]
  if (typeof value !== 'object') return ['p', value]
  if (value instanceof Uint8Array) return ['b', Buffer.from(value).toString('base64')]
  if (value instanceof Timestamp) return ['t', String(value.epochNanos)]
  if (value instanceof Duration) return ['u', String(value.nanos)]
  return ['m', isStringMap(value) ? [...value.entries()] : []]
}

function decodeOutput(raw: unknown): Record<string, AttributeValue> | undefined {
  if (!Array.isArray(raw)) return undefined
  const output: Record<string, AttributeValue> = {}
  for (const [name, tag, value] of raw as [string, string, unknown][]) output[name] = decode(tag, value)
  return output
}

function decode(tag: string, value: unknown): AttributeValue {
  if (tag === 'i') return BigInt(value as string)
  if (tag === 'b') return Uint8Array.from(Buffer.from(value as string, 'base64'))
  if (tag === 't') return new Timestamp(BigInt(value as string))
  if (tag === 'u') return new Duration(BigInt(value as string))
  if (tag === 'm') return new Map(value as [string, string][])
  return value as AttributeValue
}
