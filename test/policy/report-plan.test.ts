// What is remembered changes nothing: what comes of records that are dispatched one after the other is what a dispatcher
// without any memory makes of each of them alone.

import { create, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Aggregation } from '../../src/adapter-kit/aggregation.ts'
import { type AnyAdapter, defineAdapter } from '../../src/adapter-kit/define-adapter.ts'
import type { FieldValue } from '../../src/adapter-kit/instance.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import { RuleSelector } from '../../src/config/rule-index.ts'
import { atOnce } from '../../src/config/slices.ts'
import type { Snapshot } from '../../src/config/snapshot.ts'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import type { PolicyState } from '../../src/policy/handler-table.ts'
import { type Dispatch, ReportDispatcher } from '../../src/policy/report-dispatch.ts'
import { ReportRequestSchema } from '../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { decodeMixerReport } from '../../src/wire/mixer/decode-report.ts'
import { FakeClock } from '../helpers/clock.ts'
import { BagSource } from '../properties/generate-bag.ts'
import { ExpressionSource } from '../properties/generate-expression.ts'
import { write } from '../properties/oracle/text.ts'
import { type Picker, seededPicker, times } from '../properties/random.ts'
import { ATTRIBUTES, OWN_WORDS } from '../properties/vocabulary.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { compressInto, plain, Words } from '../wire/mixer/compress.ts'

const summing: Aggregation = {
  observed: 'value',
  open: () => ({ series: () => undefined, observe: () => undefined, take: () => [] }),
}

function adapter(aggregates: boolean): AnyAdapter {
  return defineAdapter({
    name: 'counts',
    description: 'counts',
    templates: ['metric'],
    config: z.strictObject({}),
    doesIo: false,
    ...(aggregates ? { aggregation: () => summing } : {}),
    create: () => ({ report: { metric: () => undefined } }),
  })
}

/** Rules whose metrics share expressions, as those of a mesh do. */
function configText(pick: Picker): string {
  const dialect = pick.of(['CEXL', 'CEL'] as const)
  const source = new ExpressionSource(pick, dialect, OWN_WORDS)
  const dimensions = times(2, () => times(4, (i) => [`d${i}`, write(source.any(), dialect)]))
  const about = (name: string, namespace = 'istio-system') => ({
    name,
    namespace,
    annotations: { 'policy.intermix.dev/lang': dialect },
  })
  const object = (kind: string, metadata: object, spec: object) =>
    JSON.stringify({ apiVersion: 'config.istio.io/v1alpha2', kind, metadata, spec })
  const attributes = ATTRIBUTES.map(({ name, type }) => [name, { valueType: type }])
  return [
    object('attributemanifest', { name: 'all' }, { attributes: Object.fromEntries(attributes) }),
    object('handler', { name: 'sums', namespace: 'istio-system' }, { compiledAdapter: 'counts', params: {} }),
    ...times(4, (i) =>
      object('instance', about(`i${i}`), {
        compiledTemplate: 'metric',
        params: {
          value: pick.chance(0.3) ? '1' : write(source.any(), dialect),
          dimensions: Object.fromEntries(dimensions[i % 2] ?? []),
        },
      }),
    ),
    ...times(4, (i) =>
      object('rule', about(`r${i}`, pick.of(['istio-system', 'istio-system', 'ns1'])), {
        match: pick.chance(0.2) ? '' : write(source.match(), dialect),
        actions: [{ handler: 'sums.istio-system', instances: times(2, (n) => `i${(i + n) % 4}.istio-system`) }],
      }),
    ),
  ].join('\n---\n')
}

function compile(text: string, aggregates: boolean): Snapshot | undefined {
  const adapters = new Map([['counts', adapter(aggregates)]])
  return compileSnapshot(parseConfigText('random.yaml', text), { adapters }).snapshot
}

/** What comes of a record, in words. */
function dispatcherOf(snapshot: Snapshot): (bag: AttributeBag) => readonly string[] {
  const options = { clock: new FakeClock(), random: () => 0.5, meter: new ReadableMeter(), log: new KeptLog() }
  const dispatcher = new ReportDispatcher(options)
  const state = { snapshot, rules: atOnce(RuleSelector.build(snapshot)), handlers: new Map() } as unknown as PolicyState
  return (bag) => (dispatcher.dispatch(state, bag) as readonly Dispatch[]).map(inWords)
}

function inWords({ instance, aggregation, observed }: Dispatch): string {
  if (instance === undefined) return 'not evaluated'
  const fields = aggregation === undefined ? instance.fields : { ...instance.fields, value: observed }
  const { value, dimensions } = fields as { value: AttributeValue; dimensions: Record<string, FieldValue> }
  const labels = Object.entries(dimensions).map(([key, each]) => [key, plain(each as AttributeValue)])
  return JSON.stringify([instance.name, plain(value), labels], (_, each: unknown) =>
    typeof each === 'bigint' ? `${each}n` : each,
  )
}

function contentOf(bag: AttributeBag): ReadonlyMap<string, AttributeValue> {
  return new Map(Array.from(bag.names(), (name) => [name, bag.get(name) as AttributeValue]))
}

function alone(snapshot: Snapshot, bag: AttributeBag): readonly string[] {
  return dispatcherOf(snapshot)(new MapBag(contentOf(bag)))
}

/** The bags as one report of Mixer's, in which a record says only what it has: the rest is as before. */
function deltaReport(bags: readonly AttributeBag[]): Uint8Array {
  const words = new Words()
  const attributes = bags.map((bag) => compressInto(words, Object.fromEntries(contentOf(bag))))
  const request = { attributes, defaultWords: words.list, globalWordCount: 222 }
  return toBinary(ReportRequestSchema, create(ReportRequestSchema, request))
}

describe('a dispatcher that remembers', () => {
  it('makes of each record what one without memory makes of it alone', () => {
    let compared = 0
    const kinds = new Set<string>()
    const property = (seed: number) => {
      const pick = seededPicker(seed)
      const text = configText(pick)
      const [summed, listed] = [compile(text, true), compile(text, false)]
      if (summed === undefined || listed === undefined) return
      const source = new BagSource(pick)
      const bags = times(30, () => source.next())
      const remembering = dispatcherOf(summed)
      for (const bag of bags) {
        const expected = alone(listed, bag)
        compared++
        for (const each of expected) kinds.add(each)
        expect(remembering(bag)).toEqual(expected)
      }
      // A map under `__proto__` is lost by the encoder of these tests, and by no proxy.
      const records = bags.map((bag) => MapBag.of(Object.fromEntries(contentOf(bag))))
      const decoded = decodeMixerReport(deltaReport(records), summed.vocabulary)
      for (const bag of decoded) expect(remembering(bag)).toEqual(alone(listed, bag))
    }
    fc.assert(fc.property(fc.nat(), property), { numRuns: 40 })
    expect(compared).toBeGreaterThan(900)
    expect(kinds.size).toBeGreaterThan(100)
    expect(kinds).toContain('not evaluated')
  })
})
