// What adapters hand back, checked: an adapter is other people's code, and nonsense from it must not become a verdict.

import { Code } from '../kernel/status.ts'
import { type AttributeValue, isOfType, isStringMap } from '../kernel/value.ts'
import { Duration, Timestamp } from '../kernel/time.ts'
import type { QuotaRequest } from './define-adapter.ts'
import type { TemplateDefinition } from './template.ts'

type Fields = Readonly<Record<string, unknown>>

/** Says why a value is no `CheckResult`; `undefined` where it is one. */
export function checkResultProblem(value: unknown): string | undefined {
  if (!isRecord(value)) return 'a check must answer an object with a status'
  return (
    statusProblem(value['status']) ??
    amountProblem('validForMs', value['validForMs'] ?? 0) ??
    amountProblem('validUses', value['validUses'] ?? 0) ??
    directResponseProblem(value['directResponse']) ??
    outputProblem(value['output'])
  )
}

/** Says why a value is no `QuotaResult` that answers `request`; `undefined` where it is one. */
export function quotaResultProblem(value: unknown, request: QuotaRequest): string | undefined {
  if (!isRecord(value)) return 'a quota must answer an object with status, granted and validForMs'
  const { granted } = value
  const problem = statusProblem(value['status']) ?? amountProblem('validForMs', value['validForMs'])
  if (problem !== undefined) return problem
  if (typeof granted !== 'number' || !Number.isFinite(granted)) return 'granted must be a finite number'
  // A negative amount gives an allocation back: nothing, or all of it.
  const low = Math.min(0, request.amount)
  const high = Math.max(0, request.amount)
  if (granted < low || granted > high) return `granted must be from ${low} to ${high}, it is ${granted}`
  if (!request.bestEffort && granted !== 0 && granted !== request.amount)
    return 'granted a part of an amount that asks for all or nothing'
  return limitsProblem(value['limits'])
}

/** The same of the results of charges that belong together. */
export function quotaResultsProblem(
  value: unknown,
  charges: readonly { readonly request: QuotaRequest }[],
): string | undefined {
  if (!Array.isArray(value) || value.length !== charges.length) return `must answer each of ${charges.length} quotas`
  for (const [index, { request }] of charges.entries()) {
    const problem = quotaResultProblem(value[index], request)
    if (problem !== undefined) return problem
  }
  return undefined
}

function limitsProblem(limits: unknown): string | undefined {
  if (limits === undefined) return undefined
  const isLimit = (each: unknown) =>
    isRecord(each) &&
    typeof each['name'] === 'string' &&
    ['amount', 'left', 'resetMs', 'retryAfterMs'].every((name) => typeof each[name] === 'number')
  return Array.isArray(limits) && limits.every(isLimit)
    ? undefined
    : 'limits must be a list of limits with name, amount, left, resetMs and retryAfterMs'
}

/** Says why a value is no `ReportResult` of a batch of so many instances; `undefined` where it is one, or nothing. */
export function reportResultProblem(value: unknown, size: number): string | undefined {
  if (value === undefined) return undefined
  const failed = isRecord(value) ? value['failed'] : undefined
  if (!Array.isArray(failed)) return 'a report must answer nothing, or an object with a list of what failed'
  const places = new Set<unknown>()
  for (const each of failed as readonly unknown[]) {
    const { index, reason, retry } = isRecord(each) ? each : {}
    if (!Number.isInteger(index) || (index as number) < 0 || (index as number) >= size) {
      return `failed: index must be a place in the batch, from 0 to ${size - 1}`
    }
    if (places.has(index)) return `failed: index ${String(index)} stands twice`
    places.add(index)
    if (typeof reason !== 'string' || typeof retry !== 'boolean') {
      return 'failed: reason must be a string and retry true or false'
    }
  }
  return undefined
}

/** Says which field of a generator's output is unknown or of another type; `undefined` where all are right. */
export function attributesProblem(value: unknown, template: TemplateDefinition): string | undefined {
  if (!isRecord(value)) return 'a generator must answer an object of output fields'
  for (const [field, given] of Object.entries(value)) {
    const type = template.output?.[field]
    if (type === undefined) return `"${field}" is no output field of ${template.name}`
    if (given !== undefined && !(isAttributeValue(given) && isOfType(given, type))) return `"${field}" must be ${type}`
  }
  return undefined
}

function statusProblem(status: unknown): string | undefined {
  if (!isRecord(status)) return 'status must be an object with code and message'
  const { code, message } = status
  if (typeof code !== 'number' || !Number.isInteger(code) || code < 0 || code > Code.UNAUTHENTICATED) {
    return 'status.code must be a whole number from 0 to 16'
  }
  return typeof message === 'string' ? undefined : 'status.message must be a string'
}

function amountProblem(name: string, value: unknown): string | undefined {
  return Number.isInteger(value) && (value as number) >= 0 ? undefined : `${name} must be a whole number of at least 0`
}

function directResponseProblem(response: unknown): string | undefined {
  if (response === undefined) return undefined
  if (!isRecord(response)) return 'directResponse must be an object'
  const { code, body, headers } = response
  const isStatus = typeof code === 'number' && Number.isInteger(code) && (code === 0 || (code >= 100 && code <= 599))
  if (!isStatus) return 'directResponse.code must be 0 or an HTTP status'
  if (typeof body !== 'string') return 'directResponse.body must be a string'
  const texts = isRecord(headers) && Object.values(headers).every((text) => typeof text === 'string')
  return texts ? undefined : 'directResponse.headers must be an object of strings'
}

function outputProblem(output: unknown): string | undefined {
  if (output === undefined) return undefined
  if (!isRecord(output)) return 'output must be an object of attribute values'
  const bad = Object.entries(output).find(([, value]) => !isAttributeValue(value))
  return bad === undefined ? undefined : `output.${bad[0]} is no attribute value`
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}

function isAttributeValue(value: unknown): value is AttributeValue {
  if (['string', 'bigint', 'number', 'boolean'].includes(typeof value)) return true
  const isOwnClass = value instanceof Uint8Array || value instanceof Timestamp || value instanceof Duration
  return isOwnClass || (isRecord(value) && isStringMap(value as unknown as AttributeValue))
}
