// Redis addresses as operators write them: one server, Sentinel or Cluster, with TLS and ACL users.

import { IntermixError } from './errors.ts'

interface RedisNode {
  readonly host: string
  readonly port: number
}

/** Where a Redis is and how to sign in. */
export interface RedisTarget {
  readonly kind: 'single' | 'sentinel' | 'cluster'
  readonly nodes: readonly [RedisNode, ...RedisNode[]]
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  readonly database: number
  /** The master's name in Sentinel; empty for the other kinds. */
  readonly masterName: string
}

const ALLOWED =
  'allowed are redis://[user[:password]@]host[:port][/db], redis+sentinel://host:port,host:port/master-name[/db] ' +
  'and redis+cluster://host:port,host:port, each also with rediss for TLS; a user and a password stand before the ' +
  'last @, percent-encoded where they are odd'
const SHAPE = /^(redis|rediss)(\+sentinel|\+cluster)?:\/\/(?:(.*)@)?([^@/?#]+)(?:\/([^@?#]*))?$/s
const NODE = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/

/**
 * Reads a Redis URL. All before the last `@` is user and password, whatever it holds, since nothing behind it can hold
 * one; up to the first colon it is the user. They are percent-decoded.
 * @throws IntermixError INVALID_SETTING, which says what is allowed and quotes nothing: in a URL with a mistake, what
 * looks like a host or a port may be a part of the password.
 */
export function parseRedisUrl(url: string): RedisTarget {
  const shape = SHAPE.exec(url)
  if (shape === null) throw invalid('is not one')
  const [, scheme, suffix, credentials, hosts = '', path = ''] = shape
  const kind = suffix === '+sentinel' ? 'sentinel' : suffix === '+cluster' ? 'cluster' : 'single'
  const [first, ...others] = hosts.split(',').map((text) => parseNode(text, kind === 'sentinel' ? 26379 : 6379))
  if (first === undefined) throw invalid('names no host')
  if (kind === 'single' && others.length > 0) throw invalid('names several hosts, which takes +sentinel or +cluster')
  const segments = path.split('/').filter((segment) => segment !== '')
  const masterName = kind === 'sentinel' ? segments.shift() : ''
  if (masterName === undefined) throw invalid("lacks the master's name")
  if (segments.length > 1) throw invalid('has too long a path')
  return {
    kind,
    nodes: [first, ...others],
    tls: scheme === 'rediss',
    ...parseCredentials(credentials),
    database: parseDatabase(segments[0], kind),
    masterName,
  }
}

function parseNode(text: string, defaultPort: number): RedisNode {
  const node = NODE.exec(text)
  const port = node?.[3] === undefined ? defaultPort : Number(node[3])
  if (node === null || port < 1 || port > 65_535)
    throw invalid('has a host that is no name or address (IPv6 in brackets) with a port from 1 to 65535')
  return { host: node[1] ?? node[2] ?? '', port }
}

function parseCredentials(text = ''): Pick<RedisTarget, 'username' | 'password'> {
  // Two meanings: a list of hosts with a user each is what other clients take.
  if (/@.*,/s.test(text)) throw invalid('has a user before several hosts, or a , behind an @: write %2C and %40')
  if (/[\s\p{Cc}]/u.test(text))
    throw invalid('has a space or a control character in user or password: percent-encode it')
  const colon = text.indexOf(':')
  const [username, password] = colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)]
  return { username: decode(username), password: decode(password) }
}

function decode(text: string): string | undefined {
  try {
    return text === '' ? undefined : decodeURIComponent(text)
  } catch {
    throw invalid('has a % in user or password that is not percent-encoding of UTF-8: write %25 for a %')
  }
}

function parseDatabase(text: string | undefined, kind: RedisTarget['kind']): number {
  if (text === undefined) return 0
  if (!/^\d{1,5}$/.test(text)) throw invalid('has a database that is not a number')
  if (kind === 'cluster' && text !== '0') throw invalid('names a database, but a cluster has only database 0')
  return Number(text)
}

/** The URL with its password hidden, for logs and messages; so is a user that may be a password. */
export function redactRedisUrl(url: string): string {
  const [, before = '', credentials, after = ''] = /^(.*?:\/\/)?(?:(.*)@)?(.*)$/s.exec(url) ?? []
  if (credentials === undefined) return url
  const [user] = /^[\w.-]*(?=:)/.exec(credentials) ?? ['']
  return `${before}${user}:***@${after}`
}

function invalid(what: string): IntermixError {
  return new IntermixError('INVALID_SETTING', `the Redis URL ${what}; ${ALLOWED}`)
}
