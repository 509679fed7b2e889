// Random attribute generators: what they are given, and which attributes they bind to what they put out.

import { ExpressionSource } from './generate-expression.ts'
import type { GeneratorModel } from './oracle/model.ts'
import { constant, type Dialect, type Expression } from './oracle/syntax.ts'
import type { Picker } from './random.ts'
import { type AttributeType, NAMESPACES, type Vocabulary } from './vocabulary.ts'

export function randomGenerator(name: string, pick: Picker, vocabulary: Vocabulary): GeneratorModel {
  const dialect: Dialect = pick.of(['CEXL', 'CEXL', 'CEL'])
  const isOutput = (attribute: string) => attribute === 'output.source_pod_name'
  const source = new ExpressionSource(pick, dialect, vocabulary)
  const beside = new ExpressionSource(pick, dialect, vocabulary, isOutput)
  const binding = (type: AttributeType, outputs: readonly [string, ...string[]]): Expression => {
    const field = pick.of(outputs)
    const prefix = pick.chance(0.8) ? '$out.' : 'output.'
    const output: Expression = { is: 'attribute', name: prefix + field, type, isOutput: true }
    if (pick.chance(0.4)) return output
    return { is: 'else', left: output, right: fallback(field, type) }
  }
  const fallback = (field: string, type: AttributeType): Expression => {
    if (pick.chance(0.4)) return beside.attribute(type)
    if (type === 'IP_ADDRESS') return { is: 'address', of: pick.chance(0.7) ? constant('10.0.0.2') : beside.text() }
    if (type === 'STRING_MAP') return beside.attribute(type)
    return constant(field === 'source_namespace' ? pick.of(NAMESPACES) : 'none')
  }
  const inputs: readonly (readonly [string, Expression])[] = [
    ['source_uid', source.text()],
    ['source_ip', source.attribute('IP_ADDRESS')],
    ['destination_port', source.attribute('INT64')],
  ]
  return {
    template: 'kubernetes',
    name,
    dialect,
    inputs: inputs.filter(() => pick.chance(0.4)),
    bindings: vocabulary.bound
      .filter(() => pick.chance(0.4))
      .map(([attribute, type, outputs]) => [attribute, binding(type, outputs)]),
  }
}
