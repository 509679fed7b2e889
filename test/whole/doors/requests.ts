// Requests that are odd in every way we can think of: the same ones for the same seed.
import { seededRandom } from '../../../load/random.ts'
import { bytesOf, type Message } from './message.ts'

/** Random choices from a seed. */
export class Dice {
  /** From 0 to below 1. */
  readonly next: () => number

  constructor(seed: number) {
    this.next = seededRandom(seed)
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  one<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.below(choices.length)] ?? choices[0]
  }

  chance(share: number): boolean {
    return this.next() < share
  }
}

/** The next request. */
export function oddRequest(dice: Dice): Message {
  const host = hostOf(dice)
  const path = pathOf(dice) + queryOf(dice)
  const target = dice.chance(0.04)
    ? `http://${dice.chance(0.7) ? (host ?? 'open.example') : hostOf(dice)}${path}`
    : path
  const named: [string, string][] = host === undefined ? [] : [[dice.one(['Host', 'host', 'HOST']), host]]
  if (dice.chance(0.02)) named.push(['Host', 'private.example'])
  return {
    method: dice.chance(0.7) ? 'GET' : dice.one(METHODS),
    target,
    version: dice.chance(0.03) ? 'HTTP/1.0' : 'HTTP/1.1',
    headers: [...named, ...headersOf(dice)],
  }
}

const METHODS = [
  'POST',
  'PUT',
  'DELETE',
  'delete',
  'Delete',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'PROPFIND',
  'PURGE',
  'QUERY',
] as const

const PATHS = [
  '/',
  '/open',
  '/open/deep',
  '/closed',
  '/admin',
  '/admin/s.txt',
  '/v1/secret',
  '/v2/secret/x',
  '/v1/users:purge',
] as const

const SOUP = [
  '/',
  '//',
  '.',
  '..',
  '%2e',
  '%2E%2e',
  '%2f',
  '%5c',
  '\\',
  ';',
  '%3b',
  '%',
  '%25',
  '%00',
  '%c0%ae',
  '%c0%af',
  '%61',
  'admin',
  'open',
  'closed',
  bytesOf('é'),
  '\u00e9',
  '%C3%A9',
  '%20',
  '~',
  '%7E',
  '"',
  '|',
  '[',
  '%u002e',
  '..;',
  '*',
] as const

function pathOf(dice: Dice): string {
  if (dice.chance(0.01)) return dice.one(['*', '', 'admin', 'http:/admin', '//private.example/admin'])
  if (dice.chance(0.1)) return `/${Array.from({ length: 1 + dice.below(8) }, () => dice.one(SOUP)).join('')}`
  let path: string = dice.chance(0.4) ? '/open' : dice.one(PATHS)
  while (dice.chance(0.4)) path = dice.one(PATH_CHANGES)(path, dice)
  return path
}

type Change = (text: string, dice: Dice) => string

const insert = (text: string, at: number, part: string) => text.slice(0, at) + part + text.slice(at)
const atSlash = (path: string, dice: Dice) => {
  const places = [...path.matchAll(/\//g)].map(({ index }) => index)
  return places[dice.below(places.length)] ?? 0
}

const PATH_CHANGES: readonly [Change, ...Change[]] = [
  (path, dice) => {
    const at = 1 + dice.below(Math.max(1, path.length - 1))
    const digits = (path.charCodeAt(at) || 0x61).toString(16).padStart(2, '0')
    return `${path.slice(0, at)}%${dice.chance(0.5) ? digits : digits.toUpperCase()}${path.slice(at + 1)}`
  },
  (path, dice) => insert(path, atSlash(path, dice), dice.one(['/', '//', '/.', '/%2e', '/./.'])),
  (path, dice) =>
    insert(path, atSlash(path, dice), dice.one(['/x/..', '/x/%2e%2E', '/open/.%2e', '/admin/..', '/x;a=1/..'])),
  (path, dice) => insert(path, atSlash(path, dice), dice.one(['/..', '/%2e%2e', '/../..'])),
  (path, dice) =>
    insert(path, atSlash(path, dice), dice.one(['/x/..;', '/.;a', '/..;/..', '/x//..', '/x/..%3b', '/;a', '/%3b'])),
  (path, dice) => path.replace('/', dice.one(['/%2f', '\\', '/%5c', '/%2F/', '/x%2f..%2f'])),
  (path, dice) =>
    path +
    dice.one(['/', '/.', '/..', ';a=1', '%00', '%20', '.', '%2e', '#x', '#', '%', '%zz', '\t', '%0d%0a', bytesOf('ö')]),
  (path, dice) => insert(path, 1 + dice.below(path.length), dice.one(SOUP)),
  (path) => path.toUpperCase(),
]

const QUERIES = [
  '?',
  '?a=1',
  '?debug=1',
  '?debug=%31',
  '?%64ebug=1',
  '?a=1&debug=1',
  '?debug=0&debug=1',
  '?debug=1&debug=0',
  '?debug=0&%64ebug=%31',
  '?debug=0&debug=%30',
  '?a=1;debug=1',
  '?debug=0;debug=1',
  '?debug',
  '?DEBUG=1',
  '?a=%2F..%2f',
  '?a=/../admin',
  '?a=b#c',
  '?a?debug=1',
  '?debug=1;a',
  '?a=%',
  '?&&debug=1',
  '?debug=+1',
  '?attr.request.path=/open',
  '?deny=200',
] as const

function queryOf(dice: Dice): string {
  return dice.chance(0.4) ? dice.one(QUERIES) : ''
}

const HOST_CHANGES: readonly [Change, ...Change[]] = [
  (host) => host.toUpperCase(),
  (host) => `${host}.`,
  (host, dice) => host + dice.one([':80', ':443', ':0080', ':8080', ':', ':99999', ':8o']),
  (host, dice) => dice.one(['user@', 'open.example,', 'open.example, ', 'www.', '.', 'open.example@']) + host,
  (host, dice) => host + dice.one([',open.example', '..', '/', '#', '?', '%00', '\t', ' open.example', '\\']),
  (host) => host.replace('.', '%2e'),
  (host) => host.replace('e', bytesOf('é')),
  () => '[::1]:80',
  () => '127.0.0.1',
]

function hostOf(dice: Dice): string | undefined {
  if (dice.chance(0.01)) return undefined
  if (dice.chance(0.01)) return ''
  let host: string = dice.chance(0.7)
    ? 'open.example'
    : dice.one(['private.example', 'odd.example', 'xn--bcher-kva.example'])
  while (dice.chance(0.2)) host = dice.one(HOST_CHANGES)(host, dice)
  return host
}

const HEADERS: readonly [readonly [string, string], ...(readonly [string, string])[]] = [
  ['X-Role', 'guest'],
  ['x-role', 'guest'],
  ['x-role', 'admin'],
  ['X-ROLE', ' guest\t'],
  ['x-role', 'Guest'],
  ['x-role', 'guest,guest'],
  ['x_role', 'guest'],
  ['X-Blocked', '1'],
  ['x-blocked', ''],
  ['x_blocked', '1'],
  ['x-name', bytesOf('Zoë')],
  ['x-name', 'Zo\u00eb'],
  ['x-name', 'Zo%C3%AB'],
  ['Authorization', 'Bearer revoked'],
  ['authorization', 'Bearer good'],
  ['authorization', 'bearer revoked'],
  ['Cookie', 'a=1'],
  ['cookie', 'b=2; c=3'],
  ['User-Agent', 'curl'],
  ['Referer', 'http://open.example/'],
  ['Accept', 'text/html'],
  ['Connection', 'x-blocked, x-role'],
  ['Connection', 'x-request-id'],
  ['X-Forwarded-Uri', '/open'],
  ['X-Forwarded-Host', 'open.example'],
  ['X-Forwarded-Method', 'GET'],
  ['X-Forwarded-For', '192.0.2.7'],
  ['X-Original-URL', 'http://open.example/open'],
  ['X-Original-URI', '/open'],
  ['X-Original-Method', 'GET'],
  ['X-HTTP-Method-Override', 'DELETE'],
  ['X-Rewrite-URL', '/open'],
  ['X-Envoy-Original-Path', '/open'],
  ['Forwarded', 'host=open.example;proto=https'],
  ['X-Istio-Attributes', 'forged'],
  ['x-long', 'a'.repeat(3_000)],
]

function headersOf(dice: Dice): (readonly [string, string])[] {
  const count = dice.chance(0.4) ? 0 : 1 + dice.below(3)
  return Array.from({ length: count }, () => dice.one(HEADERS))
}
