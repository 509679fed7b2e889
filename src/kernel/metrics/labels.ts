// What labels mean that several metrics have.

export const HANDLER = 'full name of the handler'
export const RULE = 'full name of the rule'
export const DOOR = 'the front door: `ext_authz`, `forward_auth`, `http_check`, `mixer_check`, `batch`, `rate_limit`, …'

/** How an evaluation ends without a value; absence is a failure only where something must be there. */
export const EVALUATION_FAILURES = ['absent', 'failed', 'exhausted', 'ambiguous', 'unknown'] as const
