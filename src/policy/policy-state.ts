// What a check needs of one config: its snapshot, its rules indexed and its handlers running. Swapped as one.

import type { RuleSelector } from '../config/rule-index.ts'
import type { Snapshot } from '../config/snapshot.ts'
import type { LiveHandlers } from './handler-table.ts'

export interface PolicyState {
  readonly snapshot: Snapshot
  readonly rules: RuleSelector
  readonly handlers: LiveHandlers
}
