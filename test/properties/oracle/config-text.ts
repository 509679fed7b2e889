// Writes a config as the product reads it, in both of its formats.

import { OWN_WORDS, TRACE, type Vocabulary } from '../vocabulary.ts'
import {
  type ConfigModel,
  DEFAULT_NAMESPACE,
  fullName,
  type HandlerModel,
  type HeaderModel,
  type InstanceModel,
  type QuotaModel,
  type RuleModel,
} from './model.ts'
import type { Dialect, Expression } from './syntax.ts'
import { write } from './text.ts'

type Json = string | number | boolean | undefined | readonly Json[] | { readonly [key: string]: Json }

const MIXER = 'config.istio.io/v1alpha2'
const INTERMIX = 'intermix.dev/v1'

/** An object that may have any key, `__proto__` too. */
const record = (entries: readonly (readonly [string, Json])[]): Json => Object.fromEntries(entries)

/** JSON is YAML: one document for each object. */
export function configText({ handlers, instances, rules }: ConfigModel, vocabulary: Vocabulary = OWN_WORDS): string {
  const objects = [manifest(vocabulary), ...handlers.map(handler), ...instances.map(instance), ...rules.map(rule)]
  return objects.map((object) => JSON.stringify(object)).join('\n---\n')
}

function manifest({ attributes: all }: Vocabulary): Json {
  const known = [...all, { name: TRACE, type: 'STRING' }]
  const attributes = record(known.map(({ name, type }) => [name, { valueType: type }]))
  return object(MIXER, 'attributemanifest', { name: 'all' }, { attributes })
}

function object(
  api: string,
  kind: string,
  about: { name: string; namespace?: string; notes?: Json },
  spec: Json,
): Json {
  const { name, namespace = DEFAULT_NAMESPACE, notes = {} } = about
  return { apiVersion: api, kind, metadata: { name, namespace, annotations: notes }, spec }
}

function handler({ name, adapter, salt, windows, staleIfErrorMs, maxDenyValidForMs }: HandlerModel): Json {
  const spec = {
    compiledAdapter: adapter,
    params: { salt, windows },
    staleIfError: `${staleIfErrorMs}ms`,
    maxDenyValidFor: maxDenyValidForMs === undefined ? undefined : `${maxDenyValidForMs}ms`,
  }
  return object(INTERMIX, 'handler', { name }, spec)
}

function instance(model: InstanceModel): Json {
  const { name, dialect, template } = model
  const texts = (entries: readonly (readonly [string, Expression])[]) =>
    record(entries.map(([key, expression]) => [key, write(expression, dialect)]))
  const spec =
    model.template === 'listentry'
      ? { params: { value: write(model.value, dialect) } }
      : model.template === 'quota'
        ? { params: { dimensions: texts(model.dimensions), ...charge(model) } }
        : { params: texts(model.inputs), attributeBindings: texts(model.bindings) }
  return object(INTERMIX, 'instance', { name }, { compiledTemplate: template, lang: dialect, ...spec })
}

function charge({ amount, hasOwnId }: QuotaModel): { readonly [key: string]: Json } {
  return { amount: amount === undefined ? undefined : String(amount), deduplicationId: hasOwnId ? TRACE : undefined }
}

function rule(model: RuleModel): Json {
  const { name, namespace, api, dialect, match, mode, failPolicy, matchFailure } = model
  const settings = {
    lang: dialect,
    failPolicy,
    matchFailure,
    mode,
    maxValidFor: milliseconds(model.maxValidForMs),
    maxValidUses: model.maxValidUses === undefined ? undefined : String(model.maxValidUses),
  }
  const spec = {
    match: match === undefined ? undefined : write(match, dialect),
    actions: model.actions.map((action) => ({
      name: action.name,
      handler: fullName(action.handler, 'handler'),
      instances: action.instances.map((short) => fullName(short, 'instance')),
    })),
    requestHeaderOperations: model.requestHeaders.map((operation) => header(operation, dialect)),
    responseHeaderOperations: model.responseHeaders.map((operation) => header(operation, dialect)),
  }
  if (api === 'intermix') return object(INTERMIX, 'rule', { name, namespace }, { ...spec, ...settings })
  const notes = record(Object.entries(settings).map(([key, value]) => [`policy.intermix.dev/${key}`, value]))
  return object(MIXER, 'rule', { name, namespace, notes }, spec)
}

function milliseconds(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : `${ms}ms`
}

function header({ name, operation, values }: HeaderModel, dialect: Dialect): Json {
  if (operation === 'REMOVE') return { name, operation }
  return { name, operation, values: values.map((value) => write(value, dialect)) }
}
