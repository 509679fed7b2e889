// What is said between the thread that examines a config and the process around it.

import type { PreflightOutcome, PreflightRequest } from './preflight-report.ts'

/** What the thread starts with. */
export interface ThreadStart {
  readonly request: PreflightRequest
  /** Holds one 32-bit integer: the place of the rule that is evaluated, -1 before the first. Read when time is up. */
  readonly progress: SharedArrayBuffer
}

/** What it says, in this order, as far as it gets. */
export type ThreadMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'named'; readonly rules: readonly string[] }
  | { readonly type: 'done'; readonly outcome: PreflightOutcome }
