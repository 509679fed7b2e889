// Fills the header operations of the rules that matched, once a check is allowed.

import { valueToText } from '../adapter-kit/value-text.ts'
import type { HeaderTemplate, RuleConfig } from '../config/snapshot.ts'
import { EvaluationError } from '../expression/compiled.ts'
import { type AttributeBag, OverlayBag } from '../kernel/attribute-bag.ts'
import { cleanHeaderValue } from '../kernel/header-field.ts'
import { type HeaderOperation, isRemovable } from '../kernel/header-operation.ts'
import { type ReadLog, RequestReads } from '../kernel/read-log.ts'
import type { AttributeValue } from '../kernel/value.ts'
import type { SettledPart } from './combine.ts'

export interface FilledHeaders {
  readonly request: readonly HeaderOperation[]
  readonly response: readonly HeaderOperation[]
}

/** What is done to headers where nothing is. */
export const NO_HEADERS: FilledHeaders = { request: [], response: [] }

/**
 * Operations in rule order; they act one after the other. Each of several values is an operation of its own, as in Mixer:
 * `APPEND ["a", "b"]` appends twice, of `REPLACE ["a", "b"]` the last one stays. A value that is absent, empty or fails is
 * left out alone. Values are clean (`cleanHeaderValue`), since they may quote what a caller sent. Beyond Mixer, a REPLACE that is left with no value becomes REMOVE: a header that policy sets is never
 * the client's (but for `host` and pseudo headers, which a request cannot lack: those stay as they are).
 * @param log hears what the values read of the request; outputs of handlers are not the request's
 * @param missing counts the values left out, by rule and header
 */
export function fillHeaders(
  matched: readonly RuleConfig[],
  parts: readonly SettledPart[],
  bag: AttributeBag,
  log?: ReadLog,
  missing?: { add(rule: string, header: string): void },
): FilledHeaders {
  if (!matched.some((rule) => rule.requestHeaders.length + rule.responseHeaders.length > 0)) return NO_HEADERS
  const request: HeaderOperation[] = []
  const response: HeaderOperation[] = []
  for (const rule of matched) {
    const view = new OverlayBag(bag, rule.outputs, outputsOf(rule, parts))
    const heard = log === undefined ? undefined : new RequestReads(log, view)
    const fill = (template: HeaderTemplate, into: HeaderOperation[]) => {
      const left = fillOne(template, view, heard, into)
      for (let i = 0; i < left; i++) missing?.add(rule.name, template.name)
    }
    for (const template of rule.requestHeaders) fill(template, request)
    for (const template of rule.responseHeaders) fill(template, response)
  }
  return { request, response }
}

function outputsOf(rule: RuleConfig, parts: readonly SettledPart[]): ReadonlyMap<string, AttributeValue> {
  const outputs = new Map<string, AttributeValue>()
  if (rule.outputs.size === 0) return outputs
  for (const part of parts) {
    const output = part.outcome.entry?.verdict.output
    if (part.rule !== rule || part.action === undefined || output === undefined) continue
    for (const [field, value] of Object.entries(output)) outputs.set(`${part.action}.output.${field}`, value)
  }
  return outputs
}

/** @returns how many values were left out. */
function fillOne(
  { name, operation, values }: HeaderTemplate,
  bag: AttributeBag,
  log: ReadLog | undefined,
  into: HeaderOperation[],
): number {
  let left = 0
  if (operation !== 'REMOVE') {
    for (const expression of values) {
      const value = expression.evaluate(bag, log)
      const text = value instanceof EvaluationError ? '' : cleanHeaderValue(valueToText(value))
      if (text === '') left++
      else into.push({ name, value: text, operation })
    }
  }
  const removes = operation === 'REMOVE' || (operation === 'REPLACE' && left === values.length && isRemovable(name))
  if (removes) into.push({ name, value: '', operation: 'REMOVE' })
  return left
}
