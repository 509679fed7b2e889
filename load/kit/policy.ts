// The policy of nodes under load: every rule asks one backend by its path, so that each key's verdict is fetched and kept.

import { configObject, documents } from '../config-text.ts'
import { attributeTypes, SERVICES } from './requests.ts'

/** `any`: every request; `service`: one service each; `prefix`: one part of all keys each, so that all rules are hit alike. */
export type RuleKind = 'any' | 'service' | 'prefix'

export interface PolicyOptions {
  readonly backend: string
  /** How many rules; of `prefix` a power of ten. Beyond the ten services that are asked for, rules are for others. */
  readonly rules?: { readonly kind: RuleKind; readonly count: number }
}

export function policyText({ backend, rules = { kind: 'any', count: 1 } }: PolicyOptions): string {
  const matches = Array.from({ length: rules.count }, (_, index) => matchOf(rules.kind, index, rules.count))
  return documents(
    configObject('attributemanifest', 'mesh', { attributes: attributeTypes() }),
    configObject('instance', 'path', { compiledTemplate: 'listentry', params: { value: 'request.path' } }),
    configObject('handler', 'policy', {
      compiledAdapter: 'http',
      params: { url: `${backend}/load` },
      timeout: '1s',
    }),
    ...matches.map((match, index) =>
      configObject('rule', `ask-${index}`, { ...match, actions: [{ handler: 'policy', instances: ['path'] }] }),
    ),
  )
}

function matchOf(kind: RuleKind, index: number, count: number): { readonly match?: string } {
  if (kind === 'any') return {}
  if (kind === 'service')
    return { match: `destination.service.name == "${index < SERVICES ? 'service' : 'other'}-${index}"` }
  const digits = Math.round(Math.log10(count))
  return { match: `request.path.startsWith("/keys/${String(index).padStart(digits, '0')}")` }
}
