// The mesh tier's form of a verdict: versioned JSON that names the key it belongs to. Whatever else is found in Redis
// (another version's entry, garbage, a value under the wrong key or of the wrong type) is recognised: what a node reads
// must be what an adapter may say, and no more.

import { checkResultProblem } from '../adapter-kit/results.ts'
import type { AttributeValue } from '../kernel/value.ts'
import { decodeValue, encodeValue } from '../kernel/value-json.ts'
import { type DirectResponse, MAX_VALID_FOR_MS, MAX_VALID_USES, type Verdict } from '../kernel/verdict.ts'
import { parseJson } from '../kernel/parse-json.ts'
import type { Epoch } from '../kernel/revocation.ts'

const VERSION = 1
/** A backend call takes no longer: handlers' timeouts are shorter. */
const MAX_FETCH_MS = 3_600_000
const MAX_GENERATION_LENGTH = 512

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
  const blob = parseRecord(text)
  if (blob === undefined || blob['version'] !== VERSION || blob['key'] !== key) return undefined
  const verdict = readVerdict(blob)
  const { generation, sequence, fetchMs } = blob
  if (verdict === undefined || typeof generation !== 'string' || generation.length > MAX_GENERATION_LENGTH) {
    return undefined
  }
  if (!Number.isSafeInteger(sequence) || (sequence as number) < 0) return undefined
  if (typeof fetchMs !== 'number' || !(fetchMs >= 0 && fetchMs <= MAX_FETCH_MS)) return undefined
  return { verdict, epoch: { generation, sequence: sequence as number }, fetchMs }
}

function parseRecord(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed: unknown = parseJson(text)
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function readVerdict(blob: Readonly<Record<string, unknown>>): Verdict | undefined {
  const { code, message, validForMs, validUses, directResponse } = blob
  const output = blob['output'] === undefined ? undefined : decodeOutput(blob['output'])
  if (blob['output'] !== undefined && output === undefined) return undefined
  const said = { status: { code, message }, validForMs, validUses, directResponse, output }
  const kind = code === 0 ? 'allow' : 'deny'
  if (checkResultProblem(said) !== undefined || blob['kind'] !== kind) return undefined
  // What forbids reuse is not stored, and nothing is valid for longer.
  if (!isWithin(validForMs, MAX_VALID_FOR_MS) || !isWithin(validUses, MAX_VALID_USES)) return undefined
  return {
    kind,
    status: { code: code as number, message: message as string },
    validForMs,
    validUses,
    ...(directResponse === undefined ? {} : { directResponse: directResponse as DirectResponse }),
    ...(output === undefined ? {} : { output }),
  }
}

function isWithin(value: unknown, most: number): value is number {
  return typeof value === 'number' && value > 0 && value <= most
}

function decodeOutput(raw: unknown): Record<string, AttributeValue> | undefined {
  if (!Array.isArray(raw)) return undefined
  const output: [string, AttributeValue][] = []
  for (const field of raw as unknown[]) {
    if (!Array.isArray(field) || field.length !== 2) return undefined
    const [name, encoded] = field as unknown[]
    const value = decodeValue(encoded)
    if (typeof name !== 'string' || value === undefined) return undefined
    output.push([name, value])
  }
  return Object.fromEntries(output)
}
