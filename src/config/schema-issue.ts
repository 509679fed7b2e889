// Says what a schema found wrong in the words of somebody who writes YAML.

import type { z } from 'zod'
import type { ConfigNode } from './config-node.ts'
import { suggest } from '../kernel/suggest.ts'

export type SchemaIssue = z.core.$ZodIssue

/** What is wrong with a value and what would be right. `node` is the value, where there is one. */
export function explainIssue(issue: SchemaIssue, node: ConfigNode | undefined): string {
  if (issue.code === 'invalid_type')
    return issue.message.startsWith(DEFAULT) ? wrongType(issue.expected, node) : said(issue.message, node)
  if ((issue.code === 'too_small' || issue.code === 'too_big') && issue.message.startsWith('Too '))
    return outOfBounds(issue, node)
  if (issue.code === 'invalid_value') return wrongChoice(issue.values.map(String), node)
  if (issue.code === 'invalid_union') return wrongUnion(issue, node)
  const message = issue.message.replace(DEFAULT, '')
  return message.endsWith('.') ? message : `${message}.`
}

const DEFAULT = 'Invalid input: '

/** What the schema itself says is wanted, such as `must be a duration`. */
function said(message: string, node: ConfigNode | undefined): string {
  if (node === undefined) return `it ${message}.`
  return node.kind === 'scalar' ? `"${node.text}" ${message}.` : `this ${message}, not a ${node.kind}.`
}

function outOfBounds(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig, node: ConfigNode | undefined): string {
  const [bound, limit] = issue.code === 'too_small' ? ['at least', issue.minimum] : ['at most', issue.maximum]
  const value = node?.kind === 'scalar' ? `"${node.text}"` : 'this'
  if (issue.origin === 'string')
    return `${value} must have ${bound} ${limit} character${Number(limit) === 1 ? '' : 's'}.`
  if (issue.origin === 'array') return `this must have ${bound} ${limit} item${Number(limit) === 1 ? '' : 's'}.`
  if (issue.inclusive === false) return `${value} must be ${issue.code === 'too_small' ? 'above' : 'below'} ${limit}.`
  return `${value} must be ${bound} ${limit}.`
}

function wrongType(expected: string, node: ConfigNode | undefined): string {
  const article = /^[aeio]/.test(expected) ? 'an' : 'a'
  const wanted = NAMES.get(expected) ?? `${article} ${expected}`
  if (node === undefined) return `it must be ${wanted}.`
  if (node.kind !== 'scalar') return `this must be ${wanted}, not a ${node.kind}.`
  if (expected === 'string') return `this must be a text: put it in quotes, "${node.text}".`
  const quoted =
    typeof node.value === 'string' && (expected === 'number' || expected === 'boolean' || expected === 'int')
  return `"${node.text}" must be ${wanted}${quoted && node.style !== 'plain' ? ' without quotes' : ''}.`
}

const NAMES: ReadonlyMap<string, string> = new Map([
  ['string', 'a text'],
  ['object', 'a map of fields (key: value)'],
  ['record', 'a map (key: value)'],
  ['array', 'a list (each item after "- ")'],
  ['int', 'a whole number'],
  ['boolean', 'true or false'],
])

function wrongChoice(choices: readonly string[], node: ConfigNode | undefined): string {
  const allowed = choices.length === 1 ? (choices[0] ?? '') : `one of ${choices.join(', ')}`
  if (node === undefined || node.kind !== 'scalar') return `it must be ${allowed}.`
  const hint = choices.length === 1 ? '' : suggest(node.text, choices).replace(/ Known: .*$/, '')
  return `"${node.text}" must be ${allowed}.${hint}`
}

function wrongUnion(issue: z.core.$ZodIssueInvalidUnion, node: ConfigNode | undefined): string {
  if ('options' in issue && Array.isArray(issue.options)) return wrongChoice(issue.options.map(String), node)
  const forms = issue.errors.map(([first]) => {
    if (first === undefined) return ''
    const at = first.path.length === 0 ? '' : `${first.path.join('.')}: `
    return `${at}${explainIssue(first, first.path.length === 0 ? node : undefined).replace(/\.$/, '')}`
  })
  const distinct = [...new Set(forms.filter((form) => form !== ''))]
  return distinct.length === 0 ? 'this has none of the allowed forms.' : `${distinct.join('; or ')}.`
}
