// What the product told, in the words of the oracle. What a failed call says of its failure may differ.

import type { HeaderOperation } from '../../src/kernel/header-operation.ts'
import type { Answer } from '../../src/kernel/verdict.ts'
import { directText, type Told } from './oracle/answer.ts'
import { CALL_FAILED } from './oracle/values.ts'

/** DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE: how calls fail. */
const FAILURES = [4, 13, 14]

export const codeTold = (code: number): number => (FAILURES.includes(code) ? CALL_FAILED : code)

export function toldBy({ status, deniedBy, directResponse, requestHeaders, responseHeaders }: Answer): Told {
  return {
    code: codeTold(status.code),
    objections: objectionsTold(status.message),
    deniedBy: deniedBy && `${deniedBy.rule} ${deniedBy.handler}`,
    requestHeaders: requestHeaders.map(headerTold),
    responseHeaders: responseHeaders.map(headerTold),
    directResponse: directResponse && directText(directResponse),
  }
}

/** Where the next one begins, who objects first. */
const NEXT = /, (?=[hr]\d+\.(?:handler|rule)\.)/

/** Who objected, and why, as a message says it. */
export function objectionsTold(message: string): readonly string[] {
  return message === '' ? [] : message.split(NEXT).map(objectionTold)
}

function objectionTold(text: string): string {
  const [, by = '', reason = ''] = /^([^:]*):(.*)$/s.exec(text) ?? []
  if (/^no \d+ #\d+$/.test(reason)) return withoutCall(text)
  if (reason === 'the quota is used up') return `${by}:used up`
  const [, what, why] = EVALUATED.exec(reason) ?? []
  return what === undefined || why === undefined ? `${by}:unknown` : `${by}:${what} ${LACKS[why]}`
}

/** A match or an instance, the part of it that has no value, and why. */
const EVALUATED = /^(match|[iq]\d\.instance\.istio-system): .+? (is missing|cannot be evaluated|is unknown)(?:: .*)?$/s
const LACKS: Readonly<Record<string, string>> = {
  'is missing': 'missing',
  'cannot be evaluated': 'failed',
  'is unknown': 'unknown',
}

function headerTold({ name, value, operation }: HeaderOperation): string {
  return operation === 'REMOVE' ? `REMOVE ${name}${value}` : `${operation} ${name}=${withoutCall(value)}`
}

/** Calls of backends have numbers, which are no part of what they say. */
export function withoutCall(text: string): string {
  return text.replaceAll(/ ?#\d+/g, (call) => (call.startsWith(' ') ? '' : '#'))
}

/** The numbers of the calls that an answer shows to be made of. */
export function callsIn({ status, requestHeaders, responseHeaders }: Answer): ReadonlySet<string> {
  const texts = [status.message, ...[...requestHeaders, ...responseHeaders].map(({ value }) => value)]
  return new Set(texts.flatMap((text) => text.match(/#\d+/g) ?? []))
}
