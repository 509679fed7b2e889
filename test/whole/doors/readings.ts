// How servers understand a request that reaches them: models of their own, written without the product's code.
import { posix } from 'node:path'
import { type Message, textOf, valuesOf } from './message.ts'
import type { Reading } from './policy.ts'

/** From the bytes of a path (no query) to the path that a server looks up. */
const SERVERS: readonly ((path: string) => string)[] = [
  // Decodes, then opens the file: slashes are merged, then dots resolved.
  (path) => fileOf(decode(path)),
  // Resolves dots by RFC 3986 before it looks at anything else, then decodes, then merges slashes.
  (path) => decode(resolve(path)).replace(/\/+/g, '/'),
  // Looks up what it has decoded, dots and all, as routers by prefix do.
  (path) => decode(path).replace(/\/+/g, '/'),
  // Looks up what came.
  (path) => path,
  // A backslash is a slash.
  (path) => fileOf(decode(path).replaceAll('\\', '/')),
  // A zero ends text.
  (path) => fileOf(decode(path).replace(/\0.*/s, '')),
  // Takes overlong forms of UTF-8 for what they spell.
  (path) => fileOf(decode(path.replace(/%c0%(af|ae)/gi, (_, low: string) => (/af/i.test(low) ? '/' : '.')))),
  // Leaves parameters out of dot segments and empty ones.
  (path) => fileOf(decode(path.replace(/(\/(?:\.|%2e){1,2});[^/]*|(\/)(?:;|%3b)[^/]*(?=\/)/gi, '$1$2'))),
]

/** Every understanding of a delivered request that we know a server to have. */
export function readingsOf(message: Message): Reading[] {
  const [, authority, rest] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)(.*)$/is.exec(message.target) ?? []
  const target = rest ?? message.target
  const withoutFragment = target.replace(/#.*/s, '')
  const mark = withoutFragment.indexOf('?')
  const path = (mark < 0 ? withoutFragment : withoutFragment.slice(0, mark)) || '/'
  const query = mark < 0 ? '' : withoutFragment.slice(mark + 1)
  const host = hostOf(authority ?? valuesOf(message, 'host')[0] ?? '')
  const names = new Set(message.headers.map(([name]) => name.toLowerCase()))
  const joined = [...names].map((name): [string, string] => [name, valuesOf(message, name).join(',')])
  const headers = new Map(joined.map(([name, value]) => [name, textOf(value) ?? value]))
  const method = message.method.toUpperCase()
  return SERVERS.map((server) => ({ method, path: server(path), query, host, headers }))
}

/** As a file system has it, but for the end: `/a/.` is a folder, as `/a/` is. */
function fileOf(path: string): string {
  return posix.normalize(/\/\.{1,2}$/.test(path) ? `${path}/` : path)
}

function decode(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
}

/** RFC 3986, section 5.2.4, escaped dots included. */
function resolve(path: string): string {
  const kept: string[] = []
  if (/\/(?:\.|%2e){1,2}$/i.test(path)) return resolve(`${path}/`)
  for (const segment of path.split('/').slice(1)) {
    const plain = segment.replace(/%2e/gi, '.')
    if (plain === '..') kept.pop()
    else if (plain !== '.') kept.push(segment)
  }
  return `/${kept.join('/')}`
}

/** As servers look up the host of a request: no case, no last dot, no default port. */
function hostOf(host: string): string {
  return host
    .toLowerCase()
    .replace(/:0*(80|443)?$/, '')
    .replace(/\.$/, '')
}
