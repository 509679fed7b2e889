// Whether an admin request may have been sent by a web page of somebody else, from a browser of somebody who can reach us.

import { isIP } from 'node:net'
import type { IncomingHttpHeaders } from 'node:http'

/** Endings of names that nobody can own on the Internet (RFC 6761, 6762, 8375; Kubernetes; ICANN's `.internal`). */
const PRIVATE_ENDINGS = ['.localhost', '.local', '.internal', '.home.arpa', '.svc', '.cluster.local', '.test']

/**
 * Why a request is refused; `undefined` where it is not. Two ways lead from a foreign page to here: a request across
 * origins, which browsers mark (`Origin`, `Sec-Fetch-Site`), and one to a name of the page's owner that he has turned to our
 * address (DNS rebinding), which only the name in `Host` gives away. So the name must be an address, one that cannot be
 * had on the Internet, or one of `hosts`.
 */
export function foreignPage(headers: IncomingHttpHeaders, hosts: ReadonlySet<string>): string | undefined {
  const { host = '', origin } = headers
  const site = headers['sec-fetch-site']
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)
    return `a page of ${origin.slice(0, 200)} may not ask here`
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return 'a page of another site may not ask here'
  const name = host.replace(/:\d*$/, '').toLowerCase()
  if (isOurs(name) || hosts.has(name)) return undefined
  return `${name.slice(0, 200)} is no known name of this port: call it by its address, or add the name to --admin-hosts`
}

function isOurs(name: string): boolean {
  if (!name.includes('.') && name !== '') return true
  if (isIP(name.replace(/^\[|\]$/g, '')) !== 0) return true
  return PRIVATE_ENDINGS.some((ending) => name.endsWith(ending))
}
