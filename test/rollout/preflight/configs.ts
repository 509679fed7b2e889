// Configs for pre-flights, as files of versions.
import type { ConfigText } from '../../../src/config/config-texts.ts'
import { DENY, MANIFEST } from '../../config/compile.ts'

/** A rule that denies what matches. */
export function rule(name: string, match: string): string {
  return `apiVersion: intermix.dev/v1
kind: rule
metadata: {name: ${name}}
spec:
  match: ${JSON.stringify(match)}
  actions: [{handler: deny, instances: [nothing]}]
`
}

/** A config whose rules stand in `rules.yaml`, beside what they use. */
export function config(...rules: readonly string[]): readonly ConfigText[] {
  return [
    { path: 'manifest.yaml', text: MANIFEST },
    { path: 'handlers.yaml', text: DENY },
    { path: 'rules.yaml', text: rules.join('---\n') },
  ]
}
