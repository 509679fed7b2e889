// Defects of the caches: those that let Mixer's give one request another request's answer, and a few of their kind.

import { valueToText } from '../../src/adapter-kit/value-text.ts'
import type * as AnswerCacheModule from '../../src/cache/answer-cache.ts'
import type * as CanonicalValueModule from '../../src/cache/canonical-value.ts'
import type * as InstanceKeyModule from '../../src/cache/instance-key.ts'
import type * as MeshTierModule from '../../src/cache/mesh-tier.ts'
import type * as ReadCollectorModule from '../../src/cache/read-collector.ts'
import type { StepAnswer } from '../../src/cache/read-step.ts'
import type * as RevocationsModule from '../../src/cache/revocations.ts'
import type * as ShapeTreeModule from '../../src/cache/shape-tree.ts'
import type * as VerdictEntryModule from '../../src/cache/verdict-entry.ts'
import type * as VerdictRulesModule from '../../src/cache/verdict-rules.ts'
import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import { type Defect, replace } from './planted.ts'

const CANONICAL_VALUE = '../../src/cache/canonical-value.ts'
const READ_COLLECTOR = '../../src/cache/read-collector.ts'
const SHAPE_TREE = '../../src/cache/shape-tree.ts'
const ANSWER_CACHE = '../../src/cache/answer-cache.ts'
const INSTANCE_KEY = '../../src/cache/instance-key.ts'
const REVOCATIONS = '../../src/cache/revocations.ts'
const MESH_TIER = '../../src/cache/mesh-tier.ts'
const VERDICT_ENTRY = '../../src/cache/verdict-entry.ts'
const VERDICT_RULES = '../../src/cache/verdict-rules.ts'

/** Changes the steps of every evaluation as they are handed to the cache. */
function replaceSteps(change: (step: ReadCollectorModule.RecordedStep) => ReadCollectorModule.RecordedStep): void {
  replace<typeof ReadCollectorModule>(READ_COLLECTOR, ({ ReadCollector }) => ({
    ReadCollector: class extends ReadCollector {
      override get steps() {
        return super.steps.map(change)
      }
    },
  }))
}

export const CACHE_DEFECTS: readonly Defect[] = [
  {
    name: 'a duration is written as nothing in keys',
    plant: () =>
      replace<typeof CanonicalValueModule>(CANONICAL_VALUE, ({ canonicalValue }) => ({
        canonicalValue: (value) => (canonicalValue(value).startsWith('u') ? '' : canonicalValue(value)),
      })),
  },
  {
    name: 'values are joined in keys by their text alone',
    plant: () =>
      replace<typeof CanonicalValueModule>(CANONICAL_VALUE, () => ({
        canonicalText: (text) => text,
        canonicalValue: valueToText,
      })),
  },
  {
    name: 'values are joined in keys with their types and without their lengths',
    plant: () =>
      replace<typeof CanonicalValueModule>(CANONICAL_VALUE, ({ canonicalValue }) => ({
        canonicalText: (text) => text,
        canonicalValue: (value) => (typeof value === 'string' ? `s${value}` : canonicalValue(value)),
      })),
  },
  {
    name: 'values of different types have one key',
    plant: () =>
      replace<typeof CanonicalValueModule>(CANONICAL_VALUE, () => ({
        canonicalValue: (value) => `${valueToText(value).length}:${valueToText(value)}`,
      })),
  },
  {
    name: 'reading a whole map leaves no trace',
    plant: () =>
      replace<typeof ReadCollectorModule>(READ_COLLECTOR, ({ ReadCollector }) => ({
        ReadCollector: class extends ReadCollector {
          override wholeMap(): void {}
        },
      })),
  },
  {
    name: 'a map that is there matches the absence of a map',
    plant: () =>
      replaceSteps((recorded) => {
        const { step, outcome } = recorded
        if (outcome !== 'absent' || step.key !== undefined) return recorded
        const answer = (bag: AttributeBag): StepAnswer =>
          step.answer(bag).outcome === 'present' && bag.get(step.name) instanceof Map
            ? { outcome: 'absent', value: '' }
            : step.answer(bag)
        return { ...recorded, step: { ...step, answer, travels: () => step.travels() } }
      }),
  },
  {
    name: 'a map without a key matches the absence of the map',
    plant: () =>
      replaceSteps((recorded) => {
        const { step } = recorded
        if (step.key === undefined) return recorded
        const answer = (bag: AttributeBag): StepAnswer => {
          const given = step.answer(bag)
          return given.outcome === 'no-map' ? { outcome: 'absent', value: '' } : given
        }
        return { ...recorded, step: { ...step, answer, travels: () => step.travels() } }
      }),
  },
  {
    name: 'absences leave no trace',
    plant: () =>
      replace<typeof ReadCollectorModule>(READ_COLLECTOR, ({ ReadCollector }) => ({
        ReadCollector: class extends ReadCollector {
          override get steps() {
            return super.steps.filter(({ outcome }) => outcome !== 'absent')
          }
        },
      })),
  },
  {
    name: 'an answer is stored under the first shape that its request fits',
    plant: () =>
      replace<typeof ShapeTreeModule>(SHAPE_TREE, ({ ShapeTree }) => ({
        ShapeTree: class<L extends { readonly shape: ShapeTreeModule.Shape<L> }> extends ShapeTree<L> {
          // The simulation asks one thing at a time: what was looked for last is what is stored now.
          #bag: AttributeBag | undefined

          override find<T>(bag: AttributeBag, probe: (kept: L, values: string) => T | undefined): T | undefined {
            this.#bag = bag
            return super.find(bag, probe)
          }

          override add(...parameters: Parameters<ShapeTreeModule.ShapeTree<L>['add']>): ShapeTreeModule.Shape<L> {
            const first = this.#bag === undefined ? undefined : super.find(this.#bag, ({ shape }) => shape)
            return first ?? super.add(...parameters)
          }
        } as unknown as typeof ShapeTree,
      })),
  },
  {
    name: 'keys of answers do not name the rules',
    plant: () =>
      replace<typeof AnswerCacheModule>(ANSWER_CACHE, ({ AnswerCache }) => ({
        AnswerCache: class extends AnswerCache {
          override scope() {
            return super.scope('any')
          }
        },
      })),
  },
  {
    name: 'keys of verdicts do not name the handler',
    plant: () =>
      replace<typeof InstanceKeyModule>(INSTANCE_KEY, ({ instanceKey }) => ({
        instanceKey: (_digest, instance) => instanceKey('', instance),
      })),
  },
  {
    name: 'keys of verdicts do not name the instance',
    plant: () =>
      replace<typeof InstanceKeyModule>(INSTANCE_KEY, ({ instanceKey }) => ({
        instanceKey: (digest, instance) => instanceKey(digest, { ...instance, name: '' }),
      })),
  },
  {
    name: 'revocations are ignored',
    plant: () =>
      replace<typeof RevocationsModule>(REVOCATIONS, ({ Revocations }) => ({
        Revocations: class extends Revocations {
          override allows(): boolean {
            return true
          }
        },
      })),
  },
  {
    name: 'a verdict counts as asked for after a revocation that came while it was fetched',
    plant: () => {
      // Revocations reach all nodes of the simulation at once, so the newest epoch of any node will do.
      const newest = { sequence: 0, generation: 'local' }
      replace<typeof RevocationsModule>(REVOCATIONS, ({ Revocations }) => ({
        Revocations: class extends Revocations {
          constructor() {
            super()
            newest.sequence = 0
          }

          override apply(revocation: Parameters<RevocationsModule.Revocations['apply']>[0]): void {
            newest.sequence = revocation.sequence
            super.apply(revocation)
          }
        },
      }))
      replace<typeof VerdictRulesModule>(VERDICT_RULES, ({ VerdictRules }) => ({
        VerdictRules: class extends VerdictRules {
          override entryOf(...[verdict, handler, startedAt]: Parameters<VerdictRulesModule.VerdictRules['entryOf']>) {
            return super.entryOf(verdict, handler, startedAt, { ...newest })
          }
        },
      }))
    },
  },
  {
    name: 'stale verdicts are served without a bound',
    plant: () =>
      replace<typeof VerdictEntryModule>(VERDICT_ENTRY, ({ freshness }) => ({
        freshness: (entry, now, staleWhileRevalidateMs) =>
          freshness({ ...entry, staleUntil: Number.POSITIVE_INFINITY }, now, staleWhileRevalidateMs),
      })),
  },
  {
    name: 'the age of an answer counts from when the answer was put together',
    plant: () =>
      replace<typeof AnswerCacheModule>(ANSWER_CACHE, ({ AnswerCache }) => ({
        AnswerCache: class extends AnswerCache {
          override store(...[scope, steps, stored]: Parameters<AnswerCacheModule.AnswerCache['store']>) {
            const createdAt = stored.freshUntil - stored.answer.validForMs
            return super.store(scope, steps, { ...stored, createdAt })
          }
        },
      })),
  },
  {
    name: 'uses of a verdict are not counted',
    plant: () => replace<typeof VerdictEntryModule>(VERDICT_ENTRY, () => ({ spend: () => undefined })),
  },
  {
    name: 'each tier counts the uses of a verdict anew',
    inMesh: true,
    plant: () =>
      replace<typeof MeshTierModule>(MESH_TIER, ({ MeshTier }) => ({
        MeshTier: class extends MeshTier {
          override async lookup(...parameters: Parameters<MeshTierModule.MeshTier['lookup']>) {
            const found = await super.lookup(...parameters)
            if (found.state === 'fresh') found.entry.usesLeft = found.entry.verdict.validUses
            return found
          }
        },
      })),
  },
  {
    name: 'the age of a verdict counts anew at each node',
    inMesh: true,
    plant: () =>
      replace<typeof MeshTierModule>(MESH_TIER, ({ MeshTier }) => ({
        MeshTier: class extends MeshTier {
          override async lookup(...parameters: Parameters<MeshTierModule.MeshTier['lookup']>) {
            const found = await super.lookup(...parameters)
            if (found.state !== 'fresh') return found
            const { createdAt, freshUntil } = found.entry
            const age = found.entry.lastHitAt - createdAt
            return { ...found, entry: { ...found.entry, createdAt: createdAt + age, freshUntil: freshUntil + age } }
          }
        },
      })),
  },
]
