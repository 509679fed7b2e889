// An answer to a check as the HTTP API gives it, laid out for a person.

import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import { Code, codeName } from '../kernel/status.ts'
import { Duration } from '../kernel/time.ts'

/** Whether a JSON body is an answer to a check, whatever its HTTP status was. */
export function isAnswer(body: JsonObject): boolean {
  return statusOf(body['status']) !== undefined && typeof body['validForMs'] === 'number'
}

/** Whether the answer lets the request pass, with all the quotas that it asked for. */
export function isAllowed(answer: JsonObject): boolean {
  return [answer, ...quotasOf(answer).map(([, grant]) => grant)].every(
    (part) => statusOf(part['status'])?.code === Code.OK,
  )
}

/** One line: verdict, tier and age, and what was granted of quotas. */
export function answerLine(answer: JsonObject): string {
  const grants = quotasOf(answer).map(([name, grant]) => `; quota ${name}: ${quotaText(grant)}`)
  return `${verdictText(answer)}, from ${tierText(answer)}${grants.join('')}`
}

/** Everything that the answer says, a fact a line. */
export function answerText(answer: JsonObject): string {
  const rows: [string, string][] = [
    ['tier', tierText(answer)],
    ['validity', `${millis(answer['validForMs'])}, ${show(answer['validUses'])} uses`],
    ...list(answer['referenced']).map((item): [string, string] => ['referenced', referencedText(item)]),
    ...list(answer['requestHeaders']).map((item): [string, string] => ['request header', headerText(item)]),
    ...list(answer['responseHeaders']).map((item): [string, string] => ['response header', headerText(item)]),
    ...directResponse(answer['directResponse']),
    ...quotasOf(answer).map(([name, grant]): [string, string] => [`quota ${name}`, quotaText(grant)]),
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  return [verdictText(answer), ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)].join('\n')
}

interface StatusText {
  readonly code: number
  readonly message: string
}

/** A code may be written as its number or its name. */
function statusOf(value: unknown): StatusText | undefined {
  if (!isJsonObject(value)) return undefined
  const { code = Code.OK, message = '' } = value
  const number = typeof code === 'string' ? (Code as Readonly<Record<string, number>>)[code] : code
  return typeof number === 'number' ? { code: number, message: String(message) } : undefined
}

function verdictText(answer: JsonObject): string {
  const { code, message } = statusOf(answer['status']) ?? { code: Code.UNKNOWN, message: '' }
  return code === Code.OK ? 'allowed' : `denied (${codeName(code)}${message === '' ? '' : `: ${message}`})`
}

function tierText(answer: JsonObject): string {
  const age = answer['ageMs']
  return `${show(answer['tier'])}${typeof age === 'number' ? `, ${millis(age)} old` : ''}`
}

function referencedText(item: JsonObject): string {
  const { name, key, condition, whole } = item
  const place = typeof key === 'string' ? `${show(name)}[${JSON.stringify(key)}]` : show(name)
  return `${place}${whole === true ? ' (all entries)' : ''}${condition === 'ABSENCE' ? ' (absent)' : ''}`
}

function headerText({ name, value, operation }: JsonObject): string {
  return operation === 'REMOVE'
    ? `remove ${show(name)}`
    : `${show(operation).toLowerCase()} ${show(name)}: ${show(value)}`
}

function directResponse(value: unknown): [string, string][] {
  if (!isJsonObject(value)) return []
  return [['direct response', `HTTP ${show(value['code'])} ${JSON.stringify(value['body'] ?? '')}`]]
}

function quotaText(grant: JsonObject): string {
  const status = statusOf(grant['status'])
  const code = status === undefined || status.code === Code.OK ? '' : ` (${codeName(status.code)}: ${status.message})`
  return `granted ${show(grant['granted'])}, valid for ${millis(grant['validForMs'])}${code}`
}

function quotasOf(answer: JsonObject): [string, JsonObject][] {
  const quotas = answer['quotas']
  if (!isJsonObject(quotas)) return []
  return Object.entries(quotas).filter((entry): entry is [string, JsonObject] => isJsonObject(entry[1]))
}

function list(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : []
}

function millis(value: unknown): string {
  return typeof value === 'number' ? Duration.fromMillis(Math.round(value)).toString() : '?'
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined ? '?' : JSON.stringify(value)
}
