// Fills the header operations of the rules that matched, once a check is allowed.

import { valueToText } from '../adapter-kit/value-text.ts'
import type { HeaderTemplate, RuleConfig } from '../config/snapshot.ts'
import { EvaluationError } from '../expression/compiled.ts'
import { type AttributeBag, OverlayBag } from '../kernel/attribute-bag.ts'
import { type ReadLog, RequestReads } from '../kernel/read-log.ts'
import type { AttributeValue } from '../kernel/value.ts'
import type { HeaderOperation } from '../kernel/verdict.ts'
import type { SettledPart } from './combine.ts'

export interface FilledHeaders {
  readonly request: readonly HeaderOperation[]
  readonly response: readonly HeaderOperation[]
}

const NONE: FilledHeaders = { request: [], response: [] }

/**
 * Operations in rule order. An operation whose value cannot be evaluated or is empty is left out; `REMOVE` needs none.
 */
export function fillHeaders(
  matched: readonly RuleConfig[],
  parts: readonly SettledPart[],
  bag: AttributeBag,
  log?: ReadLog,
): FilledHeaders {
  if (!matched.some((rule) => rule.requestHeaders.length + rule.responseHeaders.length > 0)) return NONE
  const request: HeaderOperation[] = []
  const response: HeaderOperation[] = []
  for (const rule of matched) {
    const view = new OverlayBag(bag, rule.outputs, outputsOf(rule, parts))
    const heard = log === undefined ? undefined : new RequestReads(log, view)
    for (const template of rule.requestHeaders) fill(template, view, heard, request)
    for (const template of rule.responseHeaders) fill(template, view, heard, response)
  }
  return { request, response }
}

function outputsOf(rule: RuleConfig, parts: readonly SettledPart[]): ReadonlyMap<string, AttributeValue> {
  const outputs = new Map<string, AttributeValue>()
  for (const part of parts) {
    const output = part.outcome.entry?.verdict.output
    if (part.rule !== rule || part.action === undefined || output === undefined) continue
    for (const [field, value] of Object.entries(output)) outputs.set(`${part.action}.output.${field}`, value)
  }
  return outputs
}

function fill(template: HeaderTemplate, bag: AttributeBag, log: ReadLog | undefined, into: HeaderOperation[]): void {
  const { name, operation } = template
  if (operation === 'REMOVE') {
    into.push({ name, value: '', operation })
    return
  }
  let value = ''
  for (const expression of template.values) {
    const piece = expression.evaluate(bag, log)
    if (piece instanceof EvaluationError) return
    value += valueToText(piece)
  }
  if (value !== '') into.push({ name, value, operation })
}
