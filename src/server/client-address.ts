// The address of a client as a proxy writes it.

import { parseIp } from '../kernel/ip-address.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'

/** What proxies write where a client has no address, or where they are told to hide it. */
const NONE = /^(?:unknown|unix:.*|@)$/i

/**
 * The IP address in the last element of X-Forwarded-For, which may have a port, brackets and a zone.
 * @returns `undefined` where the proxy says that there is none, such as of a Unix socket
 * @throws RefusedRequest `invalid-value` for anything else: a rule on the client's address would not apply.
 */
export function clientIpOf(text: string | undefined): Uint8Array | undefined {
  if (text === undefined || NONE.test(text)) return undefined
  const ip = parseIp(bareAddress(text))
  if (ip !== undefined) return ip
  const message = `the last element of x-forwarded-for is no IP address: ${JSON.stringify(text.slice(0, 100))}`
  throw new RefusedRequest('invalid-value', message, "let the proxy set X-Forwarded-For to the client's address")
}

function bareAddress(text: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1]
  const address = bracketed ?? (/^[^:]+:\d+$/.test(text) ? text.slice(0, text.indexOf(':')) : text)
  return address.split('%', 1)[0] ?? ''
}
