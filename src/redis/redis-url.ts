// Redis addresses as operators write them: one server, Sentinel or Cluster, with TLS and ACL users.

import { IntermixError } from '../kernel/errors.ts'

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
  'allowed are redis://[user:password@]host[:port][/db], redis+sentinel://host:port,host:port/master-name[/db] ' +
  'and redis+cluster://host:port,host:port, each also with rediss for TLS, where NODE_EXTRA_CA_CERTS=FILE (PEM) names ' +
  'an authority of your own'
const SHAPE = /^(redis|rediss)(\+sentinel|\+cluster)?:\/\/(?:([^@/]*)@)?([^/?#]+)(?:\/([^?#]*))?$/
const NODE = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/

/**
 * Reads a Redis URL. User and password are percent-decoded.
 * @throws IntermixError INVALID_SETTING, which says what is allowed and never repeats the password.
 */
export function parseRedisUrl(url: string): RedisTarget {
  const shape = SHAPE.exec(url)
  if (shape === null) throw invalid(url, 'is not a Redis URL')
  const [, scheme, suffix, credentials, hosts = '', path = ''] = shape
  const kind = suffix === '+sentinel' ? 'sentinel' : suffix === '+cluster' ? 'cluster' : 'single'
  const [first, ...others] = hosts.split(',').map((text) => parseNode(text, kind === 'sentinel' ? 26379 : 6379, url))
  if (first === undefined) throw invalid(url, 'names no host')
  if (kind === 'single' && others.length > 0)
    throw invalid(url, 'names several hosts, which takes +sentinel or +cluster')
  const segments = path.split('/').filter((segment) => segment !== '')
  const masterName = kind === 'sentinel' ? segments.shift() : ''
  if (masterName === undefined) throw invalid(url, "lacks the master's name")
  if (segments.length > 1) throw invalid(url, 'has too long a path')
  return {
    kind,
    nodes: [first, ...others],
    tls: scheme === 'rediss',
    ...parseCredentials(credentials, url),
    database: parseDatabase(segments[0], kind, url),
    masterName,
  }
}

function parseNode(text: string, defaultPort: number, url: string): RedisNode {
  const node = NODE.exec(text)
  const port = node?.[3] === undefined ? defaultPort : Number(node[3])
  if (node === null || port < 1 || port > 65_535) throw invalid(url, `has no valid host:port in '${text}'`)
  return { host: node[1] ?? node[2] ?? '', port }
}

function parseCredentials(text: string | undefined, url: string): Pick<RedisTarget, 'username' | 'password'> {
  if (text === undefined) return { username: undefined, password: undefined }
  const colon = text.indexOf(':')
  const [username, password] = colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)]
  try {
    return {
      username: username === '' ? undefined : decodeURIComponent(username),
      password: password === '' ? undefined : decodeURIComponent(password),
    }
  } catch {
    throw invalid(url, 'has a user or password that is not percent-encoded UTF-8')
  }
}

function parseDatabase(text: string | undefined, kind: RedisTarget['kind'], url: string): number {
  if (text === undefined) return 0
  if (!/^\d{1,5}$/.test(text)) throw invalid(url, `has a database '${text}' that is not a number`)
  if (kind === 'cluster' && text !== '0') throw invalid(url, 'names a database, but a cluster has only database 0')
  return Number(text)
}

/** The URL with its password hidden, for logs and messages. */
export function redactRedisUrl(url: string): string {
  return url.replace(/\/\/(?:([^:@/]*)(:))?[^@/]*@/, (_, user: string | undefined) => `//${user ?? ''}:***@`)
}

function invalid(url: string, what: string): IntermixError {
  return new IntermixError('INVALID_SETTING', `Redis URL '${redactRedisUrl(url)}' ${what}; ${ALLOWED}`)
}
