// Asks an Open Policy Agent server for a decision, over its REST data API.

import { z } from 'zod'
import { defineAdapter, type CallContext, type ConfigIssue, type Handler } from '../../adapter-kit/define-adapter.ts'
import { fetchText } from '../../adapter-kit/fetch-text.ts'
import { goDuration, httpUrl } from '../../adapter-kit/schema.ts'
import type { AuthorizationInstance } from '../../adapter-kit/templates.ts'
import { fieldToJson } from '../../adapter-kit/value-text.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { readDecision } from './decision.ts'

const config = z.strictObject({
  url: httpUrl(),
  /** Mixer's notation of the rule to ask: `data.package.rule`. */
  checkMethod: z.string().default(''),
  /** The same as a path below `/v1/data/`: `package/rule`. */
  path: z.string().default(''),
  headers: z.record(z.string(), z.string()).default({}),
  validDuration: goDuration().default(60_000),
  validUseCount: z.int().min(0).default(10_000),
  maxBytes: z.int().min(1).default(65_536),
  /** Mixer's switch; accepted so that old configs load. The rule's fail policy decides instead. */
  failClose: z.boolean().default(false),
  /** Mixer's embedded Rego; refused by `validate` with the way out. */
  policy: z.array(z.string()).default([]),
})

type OpaConfig = z.output<typeof config>

const CHECK_METHOD = /^data(?:\.[A-Za-z_]\w*)+$/
const PATH = /^[\w-]+(?:\/[\w-]+)*$/

export default defineAdapter({
  name: 'opa',
  description: 'Asks an Open Policy Agent server for decisions',
  templates: ['authorization'],
  config,
  doesIo: true,
  validate,
  create(params, env): Handler {
    const path = pathOf(params)
    const url = `${params.url.replace(/\/+$/, '')}/v1/data/${path}`
    const headers = { 'content-type': 'application/json', ...params.headers }
    const { maxBytes } = params
    const { fetch, clock } = env
    const decide = async (instance: AuthorizationInstance, { signal }: CallContext) => {
      const body = JSON.stringify({ input: fieldToJson(instance.fields) })
      const request = { fetch, clock, url, method: 'POST', headers, body, maxBytes, signal }
      const response = await fetchText(request)
      if (response.status !== 200) {
        const code = response.status >= 500 || response.status === 429 ? 'BACKEND_FAILED' : 'BACKEND_REFUSED'
        throw new IntermixError(code, `OPA answered HTTP status ${response.status} for ${path}`, {
          backend: 'answered',
        })
      }
      return readDecision(response.text, { path, validForMs: params.validDuration, validUses: params.validUseCount })
    }
    return { check: { authorization: decide } }
  },
})

function pathOf(params: OpaConfig): string {
  if (params.path !== '') return params.path.replace(/^\/+/, '')
  return params.checkMethod.split('.').slice(1).join('/')
}

function validate(params: OpaConfig): readonly ConfigIssue[] {
  const issues: ConfigIssue[] = []
  if (params.policy.length > 0) {
    const message = 'Rego is not evaluated in this process: load the modules into an OPA server and give its url'
    issues.push({ path: ['policy'], message })
  }
  if ((params.path === '') === (params.checkMethod === '')) {
    issues.push({ path: ['path'], message: 'give either path (package/rule) or checkMethod (data.package.rule)' })
  } else if (params.checkMethod !== '' && !CHECK_METHOD.test(params.checkMethod)) {
    issues.push({ path: ['checkMethod'], message: 'must have the form data.package.rule' })
  } else if (params.path !== '' && !PATH.test(params.path.replace(/^\/+/, ''))) {
    issues.push({ path: ['path'], message: 'must have the form package/rule' })
  }
  return issues
}
