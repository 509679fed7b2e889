// Why Redis cannot be used, in words that say what to do.

import { IntermixError } from '../kernel/errors.ts'
import type { RedisTarget } from '../kernel/redis-url.ts'

/** What somebody tried to reach when it failed. */
export interface Attempt {
  readonly kind: RedisTarget['kind']
  readonly tls: boolean
  /** The sentinel or the node of a cluster; `undefined` for the server itself. */
  readonly place?: string | undefined
}

/** What Node adds to errors of sockets. */
interface SystemError extends Error {
  readonly code?: string
  readonly hostname?: string
  readonly address?: string
  readonly port?: number
  readonly host?: string
  readonly cert?: { readonly subjectaltname?: string }
  readonly errors?: readonly SystemError[]
}

type Words = string | ((attempt: Attempt) => string)

/** What servers say, and what our client says of them, each with its sentence. */
const SENTENCES: readonly (readonly [RegExp, Words])[] = [
  [
    /\bNOAUTH\b/,
    ({ kind, place }) =>
      kind === 'sentinel' && place !== undefined
        ? 'it wants a password of its own: name a file that holds it with --redis-sentinel-password-file'
        : 'it wants a password and got none: put user and password into the URL, or name a file with --redis-password-file',
  ],
  [
    /\bWRONGPASS\b|invalid password/,
    'it does not take this user and password: correct the URL or the password file, or let its user in (ACL LIST)',
  ],
  [
    /^-?DENIED\b|protected mode/,
    'it is in protected mode, which lets in only its own machine: give it a password (requirepass) and us the same',
  ],
  [/\bLOADING\b/, 'it is reading its data into memory: it is used as soon as it has'],
  [
    /\bMASTERDOWN\b/,
    'it is a replica that has lost its master: name the master, or all sentinels with redis+sentinel://',
  ],
  [/\bREADONLY\b/, 'it is a replica and takes no writes: name the master, or all sentinels with redis+sentinel://'],
  [/\bMISCONF\b/, 'it cannot write its data to disk and takes no writes: make room on its disk, and see its log'],
  [
    /\bNOREPLICAS\b/,
    'it has fewer good replicas than min-replicas-to-write and takes no writes: bring its replicas back',
  ],
  [
    /\bCLUSTERDOWN\b|cluster_state:fail/,
    'the cluster is down: not every slot has a master that the majority sees; start those that are missing',
  ],
  [/max number of clients/, 'it has as many clients as it may: raise its maxclients, or end some'],
  [/cluster support disabled/, 'it is no cluster: write redis:// in place of redis+cluster://'],
  [/^MOVED \d/, 'it is one node of a cluster: write redis+cluster:// in place of redis://'],
  [
    /DB index is out of range/,
    'it has no database of that number: correct the end of the URL, or raise its databases setting',
  ],
  [
    /unknown command '?sentinel/i,
    'it is a Redis and no sentinel: name the ports of the sentinels, or write redis:// for the server itself',
  ],
  [
    /unknown command '?(set|hello|info)\b/i,
    'it does not know the commands of a Redis: if it is a sentinel, write redis+sentinel://HOST:PORT/MASTER-NAME',
  ],
  [
    /\bNOPERM\b.*'select'/,
    'its user may not choose a database: allow it (ACL SETUSER USER +select), or name no database in the URL',
  ],
  [/\bNOPERM\b/, 'its user lacks a right: ACL LOG names it'],
  [/Unknown RESP type|Protocol error/, 'what listens there is no Redis: correct host and port'],
  [/^Socket timeout/, 'it takes connections and says nothing: it hangs, or is no Redis; look at the process there'],
]

const CERTIFICATE =
  'its certificate is signed by an authority that is not known here: name that one with --redis-tls-ca FILE'
const SHOW_CERTIFICATE = 'it wants a certificate of us: give --redis-tls-cert FILE and --redis-tls-key FILE'

/** By `code`. */
const CODES: Readonly<Record<string, string | ((error: SystemError) => string)>> = {
  ENOTFOUND: ({ hostname }) => `there is no host '${hostname ?? ''}': correct the name`,
  EAI_AGAIN: ({ hostname }) => `no name server answers for '${hostname ?? ''}': see to the network of this machine`,
  ECONNREFUSED: (error) => `nothing listens at ${addressOf(error)}: start Redis there, or correct host and port`,
  EHOSTUNREACH: (error) => `no way leads to ${addressOf(error)}: see to the network, or correct the host`,
  ENETUNREACH: (error) => `no way leads to ${addressOf(error)}: see to the network, or correct the host`,
  SELF_SIGNED_CERT_IN_CHAIN: CERTIFICATE,
  DEPTH_ZERO_SELF_SIGNED_CERT: CERTIFICATE,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: CERTIFICATE,
  UNABLE_TO_GET_ISSUER_CERT: CERTIFICATE,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CERTIFICATE,
  CERT_HAS_EXPIRED: 'its certificate has expired: renew it, or set the clock of this machine right',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet: set the clock of this machine right',
  ERR_TLS_CERT_ALTNAME_INVALID: ({ host, cert }) =>
    `its certificate is not for '${host ?? ''}': connect by a name that it has (${cert?.subjectaltname ?? 'it has none'})`,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: SHOW_CERTIFICATE,
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: SHOW_CERTIFICATE,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA:
    'it does not know the authority that signed our certificate: correct --redis-tls-cert, or its tls-ca-cert-file',
  ERR_SSL_WRONG_VERSION_NUMBER:
    'it does not speak TLS on that port: write redis:// in place of rediss://, or name its TLS port',
}

/** One sentence on a failure that speaks for itself; `undefined` for one that may have several causes. */
export function explainFailure(error: Error, attempt: Attempt): string | undefined {
  if (error instanceof IntermixError) return error.message
  const failure = oneOf(error)
  const { code, message } = failure
  const byCode = code === undefined ? undefined : CODES[code]
  if (byCode !== undefined) return `${typeof byCode === 'string' ? byCode : byCode(failure)} (${code})`
  for (const [pattern, words] of SENTENCES) {
    if (!pattern.test(message)) continue
    return `${typeof words === 'string' ? words : words(attempt)}${saidBy(message)}`
  }
  return undefined
}

/** What to say where no more can be found out. */
export function describeFailure(error: Error, attempt: Attempt): string {
  const explained = explainFailure(error, attempt)
  if (explained !== undefined) return explained
  const { code, message } = oneOf(error)
  if (code === 'ETIMEDOUT') return NO_ANSWER
  if (isSilentEnd(error)) return 'it ends the connection without a word: see its log, and whether it expects TLS'
  return message === '' ? (code ?? error.name) : message
}

/** Nothing was heard from the other side. */
export const NO_ANSWER =
  'nothing answers at that address: correct host and port, or see whether a firewall is in between'

/** Errors that only follow from others. */
export function isNoNews({ message }: Error): boolean {
  return /^(Stream isn't writeable|Connection is closed|All sentinels are unreachable)/.test(message)
}

/** Whether a connection ended, or did not come about, in a way that says nothing. */
export function isSilentEnd(error: Error): boolean {
  const { code, message } = oneOf(error)
  return code === 'ECONNRESET' || code === 'EPIPE' || /^Connection is closed|socket disconnected/.test(message)
}

/** What a reply begins with, for whoever looks it up: its code, or all of one that has none. */
function saidBy(message: string): string {
  const said = /^-?(?!ERR\b)[A-Z]{4,}\b|^ERR [^,]{1,60}/.exec(message)?.[0]
  return said === undefined ? '' : ` (${said})`
}

/** Of several addresses of a host that were tried. */
function oneOf(error: SystemError): SystemError {
  return error.errors?.[0] ?? error
}

function addressOf({ address, port }: SystemError): string {
  return address === undefined ? 'that address' : `${address.includes(':') ? `[${address}]` : address}:${port}`
}
