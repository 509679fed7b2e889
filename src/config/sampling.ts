// The share of requests that a rule takes: a number from 0 to 1, or Mixer's `sampling` message.

import type { CompileContext } from './compile-context.ts'
import type { ConfigNode } from './config-node.ts'
import { Fields } from './fields.ts'
import { readChoice, readNumber } from './values.ts'

const DENOMINATORS = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 } as const
const NAMES = Object.keys(DENOMINATORS) as readonly (keyof typeof DENOMINATORS)[]

/** Reads `sampling`; 1 where it is left out or wrong (which is reported). */
export function readSampling(node: ConfigNode | undefined, { problems }: CompileContext): number {
  if (node === undefined) return 1
  if (node.kind === 'scalar') return readNumber(node, { min: 0, max: 1 }, problems) ?? 1
  if (node.kind === 'list') {
    problems.error(node, 'wrong-type', '"sampling" must be a number from 0 to 1, or {random: {percentSampled: …}}.')
    return 1
  }
  const fields = new Fields(node, 'sampling', ['random', 'rateLimit'], problems)
  const limit = fields.get('rateLimit')
  if (limit !== undefined) problems.warn(limit, 'ignored-field', '"sampling.rateLimit" is not supported; ignored.')
  const random = fields.map('random')
  if (random === undefined) return 1
  const names = ['attributeExpression', 'percentSampled', 'useIndependentRandomness'] as const
  const inner = new Fields(random, 'sampling.random', names, problems)
  const attribute = inner.get('attributeExpression')
  if (attribute !== undefined) {
    problems.warn(attribute, 'ignored-field', '"attributeExpression" is not supported: sampling is at random.')
  }
  const percent = inner.map('percentSampled')
  if (percent === undefined) return 1
  const fraction = new Fields(percent, 'percentSampled', ['numerator', 'denominator'], problems)
  const unit = fraction.scalar('denominator')
  const denominator = DENOMINATORS[(unit && readChoice(unit, NAMES, problems)) ?? 'HUNDRED']
  const numerator = fraction.scalar('numerator')
  const value = numerator && readNumber(numerator, { min: 0, max: denominator, integer: true }, problems)
  return (value ?? 0) / denominator
}
