// What the answers of forward-auth tell a cache that an operator has put before the node, such as that of a proxy's
// authorization filter (RFC 9111).

import { type Answer, DEFAULT_VALID_USES } from '../kernel/verdict.ts'

/** For what is about one client at one moment: Caddy, Traefik and Envoy hand denials on to it as they are. */
export const NOT_KEPT = 'no-store'

/**
 * The Cache-Control of an answer that allows. `private`: only its operator knows for which requests an answer may stand. An
 * answer whose uses are bounded is not to be kept, since such caches do not count. What is told is what is left of its life, so
 * there must be no Age beside it: who adds the two up would be right, and who does not know Age would not.
 */
export function cacheControlOf({ validForMs, validUses }: Answer): string {
  const seconds = Math.floor(validForMs / 1000)
  return seconds < 1 || validUses < DEFAULT_VALID_USES ? NOT_KEPT : `private, max-age=${seconds}`
}
