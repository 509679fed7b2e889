// Defects of sidecars that filters ask: how they tell on what they have heard of nodes.

import type * as RetoldRevocationsModule from '../../../src/client/nodes/retold-revocations.ts'
import type * as PaidUsesModule from '../../../src/client/paid-uses.ts'
import type * as RetoldNewsModule from '../../../src/sidecar/retold-news.ts'
import { type Defect, replace } from '../planted.ts'

const RETOLD_REVOCATIONS = '../../src/client/nodes/retold-revocations.ts'
const RETOLD_NEWS = '../../src/sidecar/retold-news.ts'
const PAID_USES = '../../src/client/paid-uses.ts'

export const RELAY_DEFECTS: readonly Defect[] = [
  {
    name: 'a sidecar tells answers on as if they took all into account that it has heard',
    plant: () =>
      replace<typeof RetoldRevocationsModule>(RETOLD_REVOCATIONS, ({ RetoldRevocations }) => ({
        RetoldRevocations: class extends RetoldRevocations {
          override stamp() {
            return this.revocations.epoch
          }
        },
      })),
  },
  {
    name: 'a sidecar tells nobody that nodes have begun to number revocations anew',
    plant: () =>
      replace<typeof RetoldRevocationsModule>(RETOLD_REVOCATIONS, ({ RetoldRevocations }) => ({
        RetoldRevocations: class extends RetoldRevocations {
          override left() {}
        },
      })),
  },
  {
    name: 'a sidecar that hears no node says that it does',
    plant: () =>
      replace<typeof RetoldNewsModule>(RETOLD_NEWS, ({ RetoldNews }) => ({
        RetoldNews: class extends RetoldNews {
          override outOfTouchMs() {
            return 0
          }
        },
      })),
  },
]

export const PAID_RELAY_DEFECTS: readonly Defect[] = [
  {
    name: 'a sidecar goes on using what it has handed on',
    plant: () =>
      replace<typeof PaidUsesModule>(PAID_USES, ({ PaidUses }) => ({
        PaidUses: class extends PaidUses {
          override handOn(answer: Parameters<PaidUsesModule.PaidUses['handOn']>[0], wanted: number) {
            return Math.max(0, Math.min(wanted, answer.usesLeft))
          }
        },
      })),
  },
]
