// The one error class and the table of its stable codes.

import { Code, type Status } from './status.ts'

/** Each code with the RPC status that callers see and whether trying again can help. */
const TABLE = {
  INVALID_ATTRIBUTE: { status: Code.INVALID_ARGUMENT, retryable: false },
  INVALID_REQUEST: { status: Code.INVALID_ARGUMENT, retryable: false },
  INVALID_SETTING: { status: Code.INVALID_ARGUMENT, retryable: false },
  INVALID_CONFIG: { status: Code.FAILED_PRECONDITION, retryable: false },
  EVALUATION_FAILED: { status: Code.PERMISSION_DENIED, retryable: false },
  INVALID_EXPRESSION: { status: Code.INVALID_ARGUMENT, retryable: false },
  NOT_FOUND: { status: Code.NOT_FOUND, retryable: false },
  NOT_READY: { status: Code.UNAVAILABLE, retryable: true },
  OVERLOADED: { status: Code.UNAVAILABLE, retryable: true },
  DEADLINE_EXCEEDED: { status: Code.DEADLINE_EXCEEDED, retryable: true },
  CANCELLED: { status: Code.CANCELLED, retryable: true },
  BACKEND_FAILED: { status: Code.UNAVAILABLE, retryable: true },
  BACKEND_REFUSED: { status: Code.INTERNAL, retryable: false },
  TOO_LARGE: { status: Code.INVALID_ARGUMENT, retryable: false },
  REDIS_UNAVAILABLE: { status: Code.UNAVAILABLE, retryable: true },
  INTERNAL: { status: Code.INTERNAL, retryable: false },
} as const satisfies Record<string, { status: number; retryable: boolean }>

export type ErrorCode = keyof typeof TABLE

/**
 * What a failed call tells of its backend, where it tells anything but that no answer came: it `answered`, with an error,
 * and so is alive; it was `unasked`; or it was `unheard`, because this process stood still.
 */
export type BackendSign = 'answered' | 'unasked' | 'unheard'

export interface IntermixErrorOptions {
  readonly cause?: unknown
  readonly backend?: BackendSign | undefined
  /** Milliseconds for which the backend asks not to be tried again; only of a failure that may be tried again. */
  readonly retryAfterMs?: number | undefined
}

/** An expected failure. `message` may be shown to callers; `cause` is for logs only. */
export class IntermixError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly backend: BackendSign | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, options?: IntermixErrorOptions) {
    super(message, options)
    this.name = 'IntermixError'
    this.code = code
    this.retryable = TABLE[code].retryable
    this.backend = options?.backend
    this.retryAfterMs = options?.retryAfterMs
  }

  get status(): Status {
    return { code: TABLE[this.code].status, message: this.message }
  }

  /** Anything caught, as an IntermixError: its own kind unchanged, everything else INTERNAL with the cause kept. */
  static from(caught: unknown): IntermixError {
    if (caught instanceof IntermixError) return caught
    return new IntermixError('INTERNAL', messageOf(caught), { cause: caught })
  }
}

/** What anything that was caught says. */
export function messageOf(caught: unknown): string {
  return caught instanceof Error ? caught.message : String(caught)
}

/** An error and the causes behind it, as long as they are errors, each once: a cause may lead back to what it has caused. */
export function* causesOf(error: unknown): Generator<Error> {
  const met = new Set<Error>()
  for (let at = error; at instanceof Error && !met.has(at); at = at.cause) {
    met.add(at)
    yield at
  }
}

/** How many causes behind an error are told. */
const MAX_CAUSES = 5

/** What an error and the causes behind it say, in one line: for logs, where where it was thrown is of no use. */
export function reasonsOf(error: Error): string {
  const reasons: string[] = []
  for (const each of causesOf(error)) {
    if (reasons.length > MAX_CAUSES) break
    const { message, code } = each as Error & { readonly code?: unknown }
    const text = message === '' && typeof code === 'string' ? code : message
    if (reasons.at(-1)?.endsWith(text) !== true) reasons.push(text)
  }
  return reasons.join(': ').replaceAll(/\s+/g, ' ')
}
