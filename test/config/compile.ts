// Compiles config text for tests.

import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import type { Snapshot } from '../../src/config/snapshot.ts'
import { formatProblem } from '../../src/kernel/problem.ts'
import { TEST_ADAPTERS } from './adapters.ts'

/** A manifest of the attributes that these tests use. */
export const MANIFEST = `
apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: {name: words}
spec:
  attributes:
    context.reporter.kind: {valueType: STRING}
    context.time: {valueType: TIMESTAMP}
    destination.labels: {valueType: STRING_MAP}
    destination.namespace: {valueType: STRING}
    destination.service.name: {valueType: STRING}
    request.headers: {valueType: STRING_MAP}
    request.id: {valueType: STRING}
    request.method: {valueType: STRING}
    request.path: {valueType: STRING}
    request.size: {valueType: INT64}
    connection.mtls: {valueType: BOOL}
    response.code: {valueType: INT64}
    source.ip: {valueType: IP_ADDRESS}
    source.labels: {valueType: STRING_MAP}
    source.name: {valueType: STRING}
    source.namespace: {valueType: STRING}
    source.owner: {valueType: STRING}
`

/** A handler and an instance that rules of either API can name, in the default namespace. */
export const DENY = `
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: {name: deny}
spec: {compiledAdapter: denier}
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: {name: nothing}
spec: {compiledTemplate: checknothing}
`

/** Compiles documents as one file. */
export function compile(...documents: readonly string[]) {
  return compileSnapshot(parseConfigText('test.yaml', documents.join('\n---\n')), { adapters: TEST_ADAPTERS })
}

/** Compiles documents that must be right. */
export function compileGood(...documents: readonly string[]): Snapshot {
  const { snapshot, problems } = compile(...documents)
  if (snapshot === undefined) throw new Error(problems.map(formatProblem).join('\n'))
  return snapshot
}

/** The warnings of a config as `line:column code`. */
export function warningsOf(snapshot: Snapshot): readonly string[] {
  return snapshot.warnings.map(({ line, column, code }) => `${line}:${column} ${code}`)
}
