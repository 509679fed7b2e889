import { describe, expect, it } from 'vitest'
import { compile, DENY, MANIFEST } from './compile.ts'

function errors(spec: string): readonly string[] {
  const text = `
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: r}
spec:
${spec}
`
  const { problems } = compile(MANIFEST, DENY, text)
  return problems
    .filter(({ severity }) => severity === 'error')
    .map((p) => `${p.column} ${p.path} ${p.code}: ${p.message}`)
}

const ACTIONS = '  actions: [{handler: deny, instances: [nothing]}]'

describe('an expression that can only fail', () => {
  it('is refused at its place, wherever it is', () => {
    expect(errors(`  match: request.path == "/" && int("five") < request.size\n${ACTIONS}`)).toEqual([
      "33 spec.match always-fails: int(\"five\") can only fail: type conversion error from 'string' 'five' to 'int'.",
    ])
    expect(errors(`  match: request.path.matches("^/a[")\n${ACTIONS}`)).toEqual([
      '10 spec.match always-fails: request.path.matches("^/a[") can only fail: error parsing regexp: missing closing ]: `[`.',
    ])
    const metric = '{template: metric, params: {value: 1, dimensions: {port: int("x")}}}'
    expect(errors(`  actions: [{handler: {adapter: meter}, instances: [${metric}]}]`)[0]).toContain(
      'always-fails: int("x")',
    )
    const header = '  requestHeaderOperations: [{name: x-a, values: [string(1 / 0)]}]'
    expect(errors(header)[0]).toContain('always-fails: string(1 / 0) can only fail: divide by zero.')
  })

  it('is no size of a map of strings, and no comparison of two', () => {
    expect(errors(`  match: size(request.headers) > 1 && source.labels == request.headers\n${ACTIONS}`)).toEqual([])
  })
})
