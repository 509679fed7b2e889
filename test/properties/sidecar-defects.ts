// Defects of sidecars: what they keep of nodes' answers, and how long.

import type * as AnswerLifeModule from '../../src/cache/answer-life.ts'
import type * as FirstLevelCacheModule from '../../src/client/first-level-cache.ts'
import type * as KnownQuestionsModule from '../../src/client/known-questions.ts'
import type * as HeardRevocationsModule from '../../src/client/nodes/heard-revocations.ts'
import type * as PaidUsesModule from '../../src/client/paid-uses.ts'
import type * as QuotaPrefetchModule from '../../src/client/quotas/quota-prefetch.ts'
import type { AnswerShape } from '../../src/kernel/answer-shape.ts'
import { type Defect, replace } from './planted.ts'

const ANSWER_LIFE = '../../src/cache/answer-life.ts'
const FIRST_LEVEL_CACHE = '../../src/client/first-level-cache.ts'
const KNOWN_QUESTIONS = '../../src/client/known-questions.ts'
const HEARD_REVOCATIONS = '../../src/client/nodes/heard-revocations.ts'
const PAID_USES = '../../src/client/paid-uses.ts'
const QUOTA_PREFETCH = '../../src/client/quotas/quota-prefetch.ts'

type Cache = FirstLevelCacheModule.FirstLevelCache
type Kept = Parameters<Cache['keep']>
type Sought = Parameters<Cache['find']>

/** Changes what is kept, and what is looked for. */
function replaceCache(
  kept: (...given: Kept) => Kept,
  sought: (...given: Sought) => Sought = (...given) => given,
): void {
  replace<typeof FirstLevelCacheModule>(FIRST_LEVEL_CACHE, ({ FirstLevelCache }) => ({
    FirstLevelCache: class extends FirstLevelCache {
      override keep(...given: Kept) {
        return super.keep(...kept(...given))
      }

      override find(...given: Sought) {
        return super.find(...sought(...given))
      }
    },
  }))
}

function replaceShapes(change: (shape: AnswerShape) => AnswerShape): void {
  replaceCache((wanted, told, options) => [wanted, { ...told, shape: told.shape && change(told.shape) }, options])
}

export const SIDECAR_DEFECTS: readonly Defect[] = [
  {
    name: 'a sidecar gives answers of another config',
    plant: () =>
      replaceCache(
        (wanted, told, options) => [
          wanted,
          { ...told, shape: told.shape && { ...told.shape, config: 'any', choosing: [] } },
          options,
        ],
        (wanted, ...others) => [{ ...wanted, config: 'any' }, ...others],
      ),
  },
  {
    name: 'a sidecar takes all requests of a config for ones of the same rules',
    plant: () => replaceShapes((shape) => ({ ...shape, choosing: [] })),
  },
  {
    name: 'a sidecar gives answers to checks that charge other quotas',
    plant: () =>
      replaceCache(
        (wanted, ...others) => [{ ...wanted, charging: 'all' }, ...others],
        (wanted, ...others) => [{ ...wanted, charging: 'all' }, ...others],
      ),
  },
  {
    name: 'a sidecar counts the age of an answer from when it came',
    plant: () => replaceCache((wanted, told, options) => [wanted, told, { ...options, askedAt: options.now }]),
  },
  {
    name: 'an answer does not age on its way',
    plant: () => replace<typeof AnswerLifeModule>(ANSWER_LIFE, () => ({ afterWaiting: (answer) => answer })),
  },
  {
    name: 'a sidecar does not ask what predicates say of a request',
    plant: () =>
      replace<typeof KnownQuestionsModule>(KNOWN_QUESTIONS, ({ KnownQuestions }) => ({
        KnownQuestions: class extends KnownQuestions {
          override answers(...[asked, bag]: Parameters<InstanceType<typeof KnownQuestions>['answers']>) {
            return super.answers(
              asked.filter(({ question: { kind } }) => kind !== 'predicate'),
              bag,
            )
          }
        },
      })),
  },
  {
    name: 'a sidecar that is out of touch gives answers of any age',
    plant: () =>
      replace<typeof HeardRevocationsModule>(HEARD_REVOCATIONS, ({ HeardRevocations }) => ({
        HeardRevocations: class extends HeardRevocations {
          override maxAgeMs(): number {
            return Number.POSITIVE_INFINITY
          }
        },
      })),
  },
  {
    name: 'a sidecar does not count the uses of what it keeps',
    plant: () =>
      replace<typeof FirstLevelCacheModule>(FIRST_LEVEL_CACHE, ({ FirstLevelCache }) => ({
        FirstLevelCache: class extends FirstLevelCache {
          override find(...given: Sought) {
            const found = super.find(...given)
            if (found !== undefined) found.answer.usesLeft++
            return found
          }
        },
      })),
  },
  {
    name: 'a sidecar gives what is stale without a bound',
    plant: () =>
      replaceCache((wanted, told, options) => [wanted, { ...told, staleForMs: Number.MAX_SAFE_INTEGER }, options]),
  },
  {
    name: 'a sidecar gives answers that hang on generated attributes of which a value was revoked',
    plant: () => replaceShapes((shape) => ({ ...shape, generated: [] })),
  },
  {
    name: 'a sidecar gives back what it has paid for twice',
    plant: () =>
      replace<typeof PaidUsesModule>(PAID_USES, ({ PaidUses }) => ({
        PaidUses: class extends PaidUses {
          override watch(...[answer, former, giveBack]: Parameters<PaidUsesModule.PaidUses['watch']>) {
            super.watch(answer, former, (uses) => giveBack(2 * uses))
          }
        },
      })),
  },
  {
    name: 'what a sidecar has paid for outlives its window',
    plant: () =>
      replaceCache((wanted, told, options) => {
        const { answer, isPaid } = told
        const longer = { ...answer, validForMs: answer.validForMs + 20_000 }
        return [wanted, isPaid ? { ...told, answer: longer } : told, options]
      }),
  },
  {
    name: 'a pool of a sidecar grants more than was leased',
    plant: () =>
      replace<typeof QuotaPrefetchModule>(QUOTA_PREFETCH, ({ QuotaPrefetch }) => ({
        QuotaPrefetch: class extends QuotaPrefetch {
          override spend(amount: number, now: number): boolean {
            return super.spend(amount, now) || super.spendMost(amount, now) > 0
          }
        },
      })),
  },
  {
    name: 'what a pool has leased is valid for as long as it is told again',
    plant: () =>
      replace<typeof QuotaPrefetchModule>(QUOTA_PREFETCH, ({ QuotaPrefetch }) => ({
        QuotaPrefetch: class extends QuotaPrefetch {
          override lifeMs(now: number): number {
            return super.lifeMs(now) > 0 ? 1_000 : 0
          }
        },
      })),
  },
]
