// The mesh tier's form of a verdict: versioned JSON that names the key it belongs to, so that whatever else is found
// in Redis (another version's entry, garbage, a value under the wrong key) is recognised and taken for a miss.

import type { AttributeValue } from '../kernel/value.ts'
import { decodeValue, encodeValue } from '../kernel/value-json.ts'
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
    output:
      output === undefined ? undefined : Object.entries(output).map(([name, value]) => [name, encodeValue(value)]),
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

function decodeOutput(raw: unknown): Record<string, AttributeValue> | undefined {
  if (!Array.isArray(raw)) return undefined
  const output: Record<string, AttributeValue> = {}
  for (const [name, encoded] of raw as [string, unknown][]) {
    const value = decodeValue(encoded)
    if (value !== undefined) output[name] = value
  }
  return output
}
