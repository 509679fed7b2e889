// Changes of config rollouts, told to a URL by the Standard Webhooks specification (standardwebhooks.com, 1.0.0): an id that is the
// same for each try, a time, and a signature where there is a secret. `text` is what chats show.

import { createHmac } from 'node:crypto'
import { IntermixError } from '../kernel/errors.ts'
import type { Announce } from './announcer.ts'
import type { NamedEntry } from './log-entry.ts'

export interface WebhookOptions {
  readonly url: string
  /** In base64, as receivers have it, with `whsec_` before it or without. */
  readonly secret: string | undefined
  readonly fetch: typeof fetch
  readonly now: () => number
}

const TIMEOUT_MS = 5_000
/** Of those that say that a request will never do, these say that it will. */
const LATER: ReadonlySet<number> = new Set([401, 403, 404, 408, 425, 429])

/** @throws IntermixError INVALID_SETTING where the secret is none */
export function webhook({ url, secret, fetch: send, now }: WebhookOptions): Announce {
  const key = secret === undefined ? undefined : keyOf(secret)
  return async (entry) => {
    const body = JSON.stringify(payloadOf(entry))
    const id = `rollout_${entry.id}`
    const at = String(Math.floor(now() / 1_000))
    const signed = key && createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64')
    const response = await send(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': at,
        ...(signed === undefined ? {} : { 'webhook-signature': `v1,${signed}` }),
      },
      body,
      // It would be asked again for where it leads, with what it says in the open.
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    await response.body?.cancel()
    if (response.ok) return 'taken'
    if (response.status >= 400 && response.status < 500 && !LATER.has(response.status)) return 'refused'
    throw new IntermixError('BACKEND_FAILED', `it answered ${response.status}`)
  }
}

function payloadOf({ at, rev, by, event, entry }: NamedEntry): object {
  return {
    type: `rollout.${event}`,
    timestamp: new Date(at).toISOString(),
    text: `Config rollout: ${entry} (${by})`,
    data: { rev, by, event, entry },
  }
}

function keyOf(secret: string): Buffer {
  const text = secret.trim().replace(/^whsec_/, '')
  const key = Buffer.from(text, 'base64')
  if (key.length < 16 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text))
    throw new IntermixError('INVALID_SETTING', 'the secret of the webhook has to be 16 bytes or more, in base64')
  return key
}
