// Measures the evaluation of a rule's match, with and without recording, beside cel-js: `node test/bench/expression.ts`.
// Goals: 150 ns without, 300 ns with recording.

import { Environment } from '@marcbachmann/cel-js'
import { bench, do_not_optimize, group, run } from 'mitata'
import { ReadCollector } from '../../src/cache/read-collector.ts'
import { compileExpression } from '../../src/expression/compile.ts'
import type { CompiledExpression, Dialect } from '../../src/expression/compiled.ts'
import { MapBag, type Vocabulary } from '../../src/kernel/attribute-bag.ts'
import type { ReadLog } from '../../src/kernel/read-log.ts'
import type { ValueType } from '../../src/kernel/value.ts'

const GOALS = { plain: 150, recording: 300 }
const SOURCE = 'destination.service == "ratings.prod" && request.method == "GET" && request.path.startsWith("/api/")'

const VOCABULARY: Vocabulary = new Map<string, ValueType>([
  ['destination.service', 'STRING'],
  ['request.method', 'STRING'],
  ['request.path', 'STRING'],
  ['request.size', 'INT64'],
  ['request.headers', 'STRING_MAP'],
  ['source.user', 'STRING'],
  ['connection.mtls', 'BOOL'],
])

const bag = MapBag.of({
  'destination.service': 'ratings.prod',
  'request.method': 'GET',
  'request.path': '/api/v1/reviews/7',
  'request.size': 512n,
  'request.headers': new Map([['user-agent', 'curl/8']]),
  'source.user': 'cluster.local/ns/prod/sa/productpage',
  'connection.mtls': true,
})

function compile(source: string, dialect: Dialect): CompiledExpression {
  const result = compileExpression(source, { dialect, vocabulary: VOCABULARY })
  if (!result.ok) throw new Error(result.problems[0]?.message)
  return result.expression
}

/** Keeps reads as cheaply as can be: what recording itself costs. */
class Tape implements ReadLog {
  readonly #reads: unknown[] = new Array<unknown>(16).fill(undefined)
  #length = 0

  rewind(): void {
    this.#length = 0
  }

  attribute(_name: string, value: unknown): void {
    this.#reads[this.#length++] = value
  }

  mapKey(_name: string, _key: string, value: unknown): void {
    this.#reads[this.#length++] = value
  }

  wholeMap(_name: string, value: unknown): void {
    this.#reads[this.#length++] = value
  }

  predicate(predicate: unknown): void {
    this.#reads[this.#length++] = predicate
  }
}

/** Other expressions run first, so that the closures' call sites are as mixed as in a node. */
function mix(log: ReadLog): void {
  const sources = [
    'source.user == "x" || request.size < 3',
    'match(request.path, "/a*")',
    'request.headers["user-agent"] | "none"',
    'connection.mtls && request.size + 1 > 4',
    'source.user | request.path',
    '(request.headers["a"]).endsWith("z")',
    'conditional(connection.mtls, "yes", "no") == "yes"',
    'source.user.startsWith(request.path)',
    'request.method != "PUT"',
  ]
  const expressions = sources.map((source) => compile(source, 'CEXL'))
  for (let i = 0; i < 20_000; i++) {
    for (const expression of expressions) expression.evaluate(bag, i % 2 === 0 ? log : undefined)
  }
}

const tape = new Tape()
mix(tape)
const cexl = compile(SOURCE, 'CEXL')
const cel = compile(SOURCE, 'CEL')
const environment = new Environment()
for (const name of ['destination', 'request']) environment.registerVariable(name, 'map<string, string>')
const reference = environment.parse(SOURCE)
const context = {
  destination: { service: 'ratings.prod' },
  request: { method: 'GET', path: '/api/v1/reviews/7' },
}
for (const answer of [cexl.evaluate(bag), cel.evaluate(bag), reference(context)]) {
  if (answer !== true) throw new Error(`expected true, got ${String(answer)}`)
}

group('three clauses, all true', () => {
  bench('CEXL', () => do_not_optimize(cexl.evaluate(bag)))
  bench('CEXL recording', () => {
    tape.rewind()
    do_not_optimize(cexl.evaluate(bag, tape))
  })
  bench('CEXL into the cache’s collector', () => {
    const collector = new ReadCollector()
    do_not_optimize(cexl.evaluate(bag, collector))
  })
  bench('CEL', () => do_not_optimize(cel.evaluate(bag)))
  bench('CEL recording', () => {
    tape.rewind()
    do_not_optimize(cel.evaluate(bag, tape))
  })
  bench('cel-js', () => do_not_optimize(reference(context)))
})

const { benchmarks } = await run()
// The median: on a shared machine the average is that of its neighbours.
const medians = new Map(benchmarks.map(({ alias, runs }) => [alias, runs[0]?.stats?.p50 ?? Number.NaN]))
const plain = medians.get('CEXL') ?? Number.NaN
const recording = medians.get('CEXL recording') ?? Number.NaN
console.log(
  `median: CEXL ${plain.toFixed(0)} ns (goal ${GOALS.plain}), recording ${recording.toFixed(0)} ns (goal ${GOALS.recording})`,
)
process.exitCode = plain <= GOALS.plain && recording <= GOALS.recording ? 0 : 1
