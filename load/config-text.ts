// Configs made by scenarios.

/** One object of a config. */
export function configObject(kind: string, name: string, spec: object): object {
  return { apiVersion: 'intermix.dev/v1', kind, metadata: { name, namespace: 'istio-system' }, spec }
}

/** YAML, of which JSON is a part: one document a line. */
export function documents(...objects: readonly object[]): string {
  return objects.map((each) => JSON.stringify(each)).join('\n---\n')
}
