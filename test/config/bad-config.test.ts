// Every mistake has a file named by it, and its message is stated here to the column and the word.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import { NO_DOMAINS } from '../../src/config/parse-text.ts'
import { formatProblem } from '../../src/kernel/problem.ts'
import { TEST_ADAPTERS } from './adapters.ts'

const FOLDER = join(import.meta.dirname, '../fixtures/bad-config')

const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  'action-without-instances': [
    '12:7: error: spec.actions[0]: the action has no "instances": a handler is called with at least one. [missing-field]',
  ],
  'bad-bindings': [
    '20:27: error: spec.attributeBindings.source.workload.name: unknown attribute "$out.source_workload_nam". Did you mean "$out.source_workload_name"? [unknown-attribute]',
    '21:20: error: spec.attributeBindings.source.labels: this must be of type STRING_MAP, but the expression is of type STRING. [type-mismatch]',
    '22:5: error: spec.attributeBindings.source.label: unknown attribute "source.label". Did you mean "source.labels"? [unknown-attribute]',
  ],
  'bad-header-operations': [
    '34:28: error: spec.requestHeaderOperations[0].values[0]: this must be of type STRING, but the expression is of type INT64. [type-mismatch]',
    '35:47: error: spec.requestHeaderOperations[1].operation: "REPLAC" must be one of REPLACE, REMOVE, APPEND. Did you mean "REPLACE"? [invalid-value]',
    '36:14: error: spec.requestHeaderOperations[2].name: "x c" is not a header name. [invalid-value]',
    '37:7: error: spec.requestHeaderOperations[3]: the header operation APPEND needs "values". [missing-field]',
    '39:14: error: spec.responseHeaderOperations[0].name: ":path" is not a header name that may be changed here. [invalid-value]',
  ],
  'bad-policy-settings': [
    '17:15: error: spec.failPolicy: "opened" must be one of closed, open. Did you mean "open"? [invalid-value]',
    '18:9: error: spec.mode: "shadw" must be one of enforce, shadow. Did you mean "shadow"? [invalid-value]',
    '19:13: error: spec.sampling: "20" must be a number from 0 to 1. [invalid-value]',
    '20:16: error: spec.maxValidFor: "soon" is not a duration: write a number and a unit, such as 200ms, 5s or 1m30s. [invalid-value]',
    '21:17: error: spec.maxValidUses: "1.5" must be a whole number from 0 to 2147483647. [invalid-value]',
  ],
  'bad-timeout': [
    '6:12: error: spec.timeout: "200" is not a duration: write a number and a unit, such as 200ms, 5s or 1m30s. [invalid-value]',
    '7:17: error: spec.staleIfError: "48h" is out of range: from 0ms to 86400000ms. [invalid-value]',
  ],
  'binding-without-output': [
    '20:22: error: spec.attributeBindings: the template "listentry" puts nothing out, so there is nothing to bind: remove it. [no-output]',
  ],
  'broken-handler-of-a-rule': ['6:23: error: spec.params.blacklist: "maybe" must be true or false. [invalid-params]'],
  'cel-expressions': [
    '18:11: error: spec.match: unknown attribute "request.pth". Did you mean "request.path"? [unknown-attribute]',
    '23:41: error: spec.actions[0].instances[0].params.value: Unexpected token: EOF. [invalid-expression]',
    '25:28: error: spec.actions[0].instances[1].params.value: unknown attribute "source.lables". Did you mean "source.labels"? [unknown-attribute]',
    '27:36: error: spec.actions[0].instances[2].params.subject.user: this must be of type STRING, but the expression is of type INT64. [type-mismatch]',
    "29:29: error: spec.requestHeaderOperations[0].values[0]: found no matching overload for '_+_' applied to '(string, int)'. [invalid-expression]",
    '37:27: error: spec.attributeBindings.source.workload.name: unknown attribute "$out.source_workload_nam". Did you mean "$out.source_workload_name"? [unknown-attribute]',
  ],
  'conflicting-attribute': [
    '19:5: error: spec.attributes.request.size: the attribute "request.size" is DOUBLE here and INT64 at conflicting-attribute.yaml:7:5: give it one type. [conflicting-attribute]',
  ],
  'duplicate-object': [
    '9:18: error: metadata.name: "deny.handler.istio-system" is declared already at duplicate-object.yaml:3:18: rename or remove one. [duplicate-object]',
  ],
  'duplicate-yaml-key': ['3:1: error: this key stands in its map already: keep one of the two. [yaml-syntax]'],
  'expression-syntax': [
    '20:42: error: spec.params.value: unable to parse expression \'source.labels["app" | "x"\': 1:26: expected \']\', found newline. [invalid-expression]',
  ],
  'field-of-wrong-type': [
    '20:23: error: spec.params.http_status_code: this must be of type INT64, but the expression is of type STRING. [type-mismatch]',
    '21:18: error: spec.params.client_span: this must be of type BOOL, but the expression is of type INT64. [type-mismatch]',
  ],
  'handler-of-another-namespace': [
    '18:16: error: spec.actions[0].handler: unknown handler "deny". There is one as "deny.istio-system". [unknown-handler]',
  ],
  'inline-in-mixer-api': [
    '6:16: error: spec.actions[0].handler: a handler can be written within a rule only under apiVersion intermix.dev/v1: name one here. [inline-not-allowed]',
    '7:19: error: spec.actions[0].instances[0]: an instance can be written within a rule only under apiVersion intermix.dev/v1: name one here. [inline-not-allowed]',
  ],
  'instance-twice': [
    '19:28: error: spec.actions[0].instances[1]: the instance "nothing.instance.istio-system" is in this action twice: keep one. [duplicate-instance]',
  ],
  'match-not-boolean': [
    '30:10: error: spec.match: this must be of type BOOL, but the expression is of type STRING. [type-mismatch]',
  ],
  'missing-name': ['3:11: error: metadata: the object has no "metadata.name". [missing-field]'],
  'missing-param': [
    '8:9: error: spec.params.quotas[0]: the param "name" is missing: it must be a text. [invalid-params]',
  ],
  'not-an-object': [
    '1:1: error: a document must be an object with apiVersion, kind, metadata and spec, or a domain of rate limits. [wrong-type]',
  ],
  'own-field-in-mixer-api': [
    '7:3: error: spec.timeout: a handler has no field "timeout". Under this apiVersion write the annotation policy.intermix.dev/timeout, or use apiVersion intermix.dev/v1. [unknown-field]',
  ],
  'refused-params': ['8:10: error: spec.params.ttl: "ttl" must not be shorter than "refresh". [invalid-params]'],
  'rule-without-actions': [
    '3:18: error: metadata.name: the rule does nothing: add "actions" or header operations. [no-actions]',
  ],
  'undefined-alias': ['3:18: error: the alias *who has no anchor &who [yaml-value]'],
  'unknown-action-output': [
    '19:35: error: spec.requestHeaderOperations[0].values[0]: unknown attribute "y.output.value". No attributemanifest declares any attribute. [unknown-attribute]',
  ],
  'unknown-adapter': [
    '5:20: error: spec.compiledAdapter: unknown adapter "deniar". Did you mean "denier"? [unknown-adapter]',
  ],
  'unknown-annotation': [
    '18:5: error: metadata.annotations.policy.intermix.dev/failpolicy: no annotation "policy.intermix.dev/failpolicy" here. Did you mean "failPolicy"? [unknown-annotation]',
    '19:27: error: metadata.annotations.policy.istio.io/lang: unknown expression language "COMPAT": COMPAT is not supported: write CEXL, whose syntax it has. [unknown-language]',
  ],
  'unknown-api-version': [
    '1:13: error: apiVersion: unknown apiVersion "config.istio.io/v1alpha3": write "config.istio.io/v1alpha2" or "intermix.dev/v1". [unknown-api-version]',
  ],
  'unknown-attribute-in-folded-text': [
    '32:7: error: spec.match: unknown attribute "request.pth". Did you mean "request.path"? [unknown-attribute]',
  ],
  'unknown-attribute': [
    '20:38: error: spec.params.value: unknown attribute "source.workload.nam". Did you mean "source.workload.name"? [unknown-attribute]',
  ],
  'unknown-handler': [
    '31:16: error: spec.actions[0].handler: unknown handler "denny". Did you mean "deny"? [unknown-handler]',
  ],
  'unknown-instance': [
    '19:28: error: spec.actions[0].instances[1]: unknown instance "nothign". Did you mean "nothing"? [unknown-instance]',
  ],
  'unknown-kind': ['2:7: error: kind: unknown kind "handlr". Did you mean "handler"? [unknown-kind]'],
  'unknown-nested-field': [
    '21:7: error: spec.params.subject.usr: the template "authorization" has no field "usr". Did you mean "user"? [unknown-field]',
    '22:19: error: spec.params.subject.properties: "properties" must be a map (key: expression). [wrong-type]',
  ],
  'unknown-param': [
    '7:5: error: spec.params.overides: unknown param "overides". Did you mean "overrides"? [unknown-field]',
  ],
  'timeout-among-params': [
    '7:5: error: spec.params.timeout: "timeout" is no param of the adapter but a setting of its handler: write it beside "params" in intermix.dev/v1, or as the annotation policy.intermix.dev/timeout. [unknown-field]',
  ],
  'unknown-rule-field': [
    '20:3: error: spec.requestHeaderOperation: a rule has no field "requestHeaderOperation". Did you mean "requestHeaderOperations"? [unknown-field]',
  ],
  'unknown-template-field': [
    '20:5: error: spec.params.valeu: the template "listentry" has no field "valeu". Did you mean "value"? [unknown-field]',
  ],
  'unknown-template': [
    '5:21: error: spec.compiledTemplate: unknown template "listentri". Did you mean "listentry"? [unknown-template]',
  ],
  'unknown-value-type': [
    '6:31: error: spec.attributes.request.path.valueType: "STRNG" must be one of STRING, INT64, DOUBLE, BOOL, TIMESTAMP, IP_ADDRESS, EMAIL_ADDRESS, URI, DNS_NAME, DURATION, STRING_MAP. Did you mean "STRING"? [invalid-value]',
    '7:5: error: spec.attributes.request-size: "request-size" cannot be written in an expression: use letters, digits and "_", with "." between parts. [invalid-name]',
    '8:5: error: spec.attributes.request.id: the attribute "request.id" has no "valueType". [missing-field]',
  ],
  'unsupported-template': [
    '33:19: error: spec.actions[0].instances[0]: the adapter "denier" does not take the template "metric": it takes checknothing, listentry, quota. [unsupported-template]',
  ],
  'wrong-nested-param': [
    '9:21: error: spec.params.quotas[0].max_amount: "many" must be a number. [invalid-params]',
    '11:13: error: spec.params.quotas[0].overrides[0]: the param "maxAmount" is missing: it must be a number. [invalid-params]',
    '12:13: error: spec.params.quotas[0].overrides[0].max_amout: unknown param "max_amout". Did you mean "maxAmount"? [unknown-field]',
  ],
  'wrong-param-type': [
    '7:21: error: spec.params.overrides[1]: this must be a text: put it in quotes, "2.0". [invalid-params]',
    '8:16: error: spec.params.blacklist: "yes" must be true or false without quotes. [invalid-params]',
    '9:17: error: spec.params.entry_type: "REGEXP" must be one of STRINGS, REGEX. Did you mean "REGEX"? [invalid-params]',
  ],
  'yaml-syntax': [
    '17:1: error: Flow map in block collection must be sufficiently indented and end with a } [yaml-syntax]',
  ],
}

function load(name: string) {
  const file = `${name}.yaml`
  return compileSnapshot(parseConfigText(file, readFileSync(join(FOLDER, file), 'utf8')), { adapters: TEST_ADAPTERS })
}

describe('a config with a mistake', () => {
  it('has a file for each mistake that is listed, and none that is not', () => {
    const files = readdirSync(FOLDER).map((name) => name.replace(/\.yaml$/, ''))
    expect(files.toSorted()).toEqual(Object.keys(EXPECTED).toSorted())
  })

  it.each(Object.entries(EXPECTED))('%s: names the place, the fault and what would be right', (name, expected) => {
    const { snapshot, problems } = load(name)
    const errors = problems.filter(({ severity }) => severity === 'error')
    expect(errors.map((problem) => formatProblem(problem).slice(`${name}.yaml:`.length))).toEqual(expected)
    expect(snapshot).toBeUndefined()
  })

  it('tells the mistakes of all files at once', () => {
    const texts = Object.keys(EXPECTED).map((name) => readFileSync(join(FOLDER, `${name}.yaml`), 'utf8'))
    const parts = texts.map((text, i) => parseConfigText(`${i}.yaml`, text))
    const loaded = {
      name: 'all',
      documents: parts.flatMap(({ documents }) => documents),
      problems: parts.flatMap(({ problems }) => problems),
      domains: NO_DOMAINS,
      digest: '',
    }
    const { problems } = compileSnapshot(loaded, { adapters: TEST_ADAPTERS })
    const files = new Set(problems.filter(({ severity }) => severity === 'error').map(({ file }) => file))
    expect(files.size).toBeGreaterThan(texts.length / 2)
  })
})
