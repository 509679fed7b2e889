// The answer of all rules to a request, for any choice of what the handlers say.

import { evaluate } from './interpreter.ts'
import {
  type ConfigModel,
  fullName,
  type HandlerModel,
  type HeaderModel,
  named,
  ruleName,
  type RuleModel,
} from './model.ts'
import { applies, rulesFor } from './rules.ts'
import {
  ABSENT,
  CALL_FAILED,
  isValue,
  type Lack,
  PERMISSION_DENIED,
  type Readable,
  Unknown,
  type Value,
} from './values.ts'
import type { SimulatedVerdict } from '../verdicts.ts'

/** What a handler is asked. */
export interface Question {
  readonly handler: HandlerModel
  /** Full name. */
  readonly instance: string
  readonly value: Value
}

/** A step towards the answer, in rule order: a question, or why none could be asked. */
export interface Step {
  readonly rule: RuleModel
  readonly action: string | undefined
  /** Who is named in messages. */
  readonly by: string
  readonly question: number | undefined
  readonly problem: Objection | undefined
}

export interface Evaluated {
  readonly matched: readonly RuleModel[]
  readonly steps: readonly Step[]
  readonly questions: readonly Question[]
}

/** What the rules ask of handlers; the same instance of the same handler is asked about once. */
export function evaluateRules(config: ConfigModel, rules: readonly RuleModel[], bag: Readable): Evaluated {
  const matched: RuleModel[] = []
  const steps: Step[] = []
  const questions: Question[] = []
  for (const rule of rules) {
    const answer = applies(rule, bag)
    if (typeof answer !== 'boolean' && hasSay(config, rule)) {
      const by = ruleName(rule)
      steps.push({ rule, action: undefined, by, question: undefined, problem: problemOf(`${by}:match`, answer) })
    }
    if (answer !== true) continue
    matched.push(rule)
    for (const { name: action, handler, instances } of rule.actions) {
      for (const short of instances) {
        const instance = named(config.instances, short)
        if (instance.template !== 'listentry') continue
        const value = evaluate(instance.value, instance.dialect, bag)
        const step = { rule, action, by: fullName(handler, 'handler') }
        const name = fullName(short, 'instance')
        if (!isValue(value)) {
          steps.push({ ...step, question: undefined, problem: problemOf(`${step.by}:${name}`, value) })
        } else {
          const question = { handler: named(config.handlers, handler), instance: name, value }
          const known = questions.findIndex((other) => other.handler === question.handler && other.instance === name)
          steps.push({ ...step, question: known < 0 ? questions.push(question) - 1 : known, problem: undefined })
        }
      }
    }
  }
  return { matched, steps, questions }
}

/** What is said where an evaluation gave no value. */
export function problemOf(what: string, lack: Lack): Objection {
  if (lack instanceof Unknown) return { code: lack.code, text: `${what} unknown` }
  return { code: PERMISSION_DENIED, text: `${what} ${lack === ABSENT ? 'missing' : 'failed'}` }
}

/** Whether a rule that may or may not apply bears upon the answer. */
function hasSay(config: ConfigModel, { actions, requestHeaders, responseHeaders }: RuleModel): boolean {
  if (requestHeaders.length + responseHeaders.length > 0) return true
  return actions.some(({ instances }) =>
    instances.some((name) => named(config.instances, name).template === 'listentry'),
  )
}

/** The rules that decide: those that only generate attributes have done all they do. */
export function enforcedFor(config: ConfigModel, bag: Readable): readonly RuleModel[] {
  return rulesFor(config.rules, bag).filter((rule) => rule.mode === 'enforce' && servesChecks(config, rule))
}

function servesChecks(config: ConfigModel, rule: RuleModel): boolean {
  return hasSay(config, rule) || rule.actions.some(({ instances }) => instances.some((name) => name.startsWith('q')))
}

/** What is said against a request. */
export interface Objection {
  /** `CALL_FAILED` where a call gave nothing. */
  readonly code: number
  readonly text: string
}

/**
 * What becomes of a step; nothing where the request may pass.
 * @param verdict what the handler said; `undefined` where the step has no question or the call failed
 */
export function objection(step: Step, verdict: SimulatedVerdict | undefined): Objection | undefined {
  if (verdict !== undefined) {
    return verdict.code === 0 ? undefined : { code: verdict.code, text: `${step.by}:${verdict.message}` }
  }
  if (step.rule.failPolicy === 'open') return undefined
  return step.problem ?? { code: CALL_FAILED, text: `${step.by}:unknown` }
}

/** What is told of an answer, in an order in which answers can be compared. */
export interface Told {
  readonly code: number
  readonly objections: readonly string[]
  readonly deniedBy: string | undefined
  readonly requestHeaders: readonly string[]
  readonly responseHeaders: readonly string[]
  readonly directResponse: string | undefined
}

/** The first objection in rule order gives the code and the direct response; headers are for what is allowed. */
export function conclude(
  { matched, steps }: Evaluated,
  verdicts: readonly (SimulatedVerdict | undefined)[],
  bag: Readable,
): Told {
  const objections: string[] = []
  let first: { readonly step: Step; readonly code: number } | undefined
  for (const step of steps) {
    const given = objection(step, step.question === undefined ? undefined : verdicts[step.question])
    if (given === undefined) continue
    objections.push(given.text)
    first ??= { step, code: given.code }
  }
  const headers = (side: 'requestHeaders' | 'responseHeaders') =>
    first !== undefined
      ? []
      : matched.flatMap((rule) => headersOf(rule, rule[side], outputsOf(rule, steps, verdicts), bag))
  const direct = first?.step.question === undefined ? undefined : verdicts[first.step.question]?.directResponse
  return {
    code: first?.code ?? 0,
    objections,
    deniedBy: first && `${ruleName(first.step.rule)} ${first.step.by}`,
    requestHeaders: headers('requestHeaders'),
    responseHeaders: headers('responseHeaders'),
    directResponse: direct && directText(direct),
  }
}

export function directText({ code, body, headers }: NonNullable<SimulatedVerdict['directResponse']>): string {
  return `${code} ${body} ${JSON.stringify(Object.entries(headers))}`
}

/** Outputs of the rule's named actions, by the names that header values have for them. */
function outputsOf(
  rule: RuleModel,
  steps: readonly Step[],
  verdicts: readonly (SimulatedVerdict | undefined)[],
): ReadonlyMap<string, string> {
  const outputs = new Map<string, string>()
  for (const step of steps) {
    const verdict = step.question === undefined ? undefined : verdicts[step.question]
    if (step.rule !== rule || step.action === undefined || verdict === undefined) continue
    outputs.set(`${step.action}.output.call`, '#')
    if (verdict.owner !== undefined) outputs.set(`${step.action}.output.owner`, verdict.owner)
  }
  return outputs
}

/** An operation for each value; what has none is left out, and a REPLACE without any removes the header. */
function headersOf(
  { actions, dialect }: RuleModel,
  headers: readonly HeaderModel[],
  outputs: ReadonlyMap<string, string>,
  bag: Readable,
): readonly string[] {
  const isOutput = (name: string) => actions.some((action) => name.startsWith(`${action.name}.output.`))
  const view: Readable = {
    get: (name) => (isOutput(name) ? outputs.get(name) : bag.get(name)),
    whyUnknown: (name) => (isOutput(name) ? undefined : bag.whyUnknown?.(name)),
  }
  return headers.flatMap(({ name, operation, values }) => {
    if (operation === 'REMOVE') return [`REMOVE ${name}`]
    const texts = values
      .map((value) => evaluate(value, dialect, view))
      .filter((text): text is string => typeof text === 'string' && text !== '')
    if (texts.length > 0) return texts.map((text) => `${operation} ${name}=${text}`)
    return operation === 'REPLACE' && name !== 'host' && !name.startsWith(':') ? [`REMOVE ${name}`] : []
  })
}
