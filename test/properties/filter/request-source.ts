// Random requests of Envoy for the oracle: few, often repeated, or a recent one with one thing changed.

import type { EnvoyRequest } from '../../helpers/envoy-request.ts'
import type { HeaderLine } from '../../helpers/proxy-wasm/header-lines.ts'
import type { Picker } from '../random.ts'
import { NAMESPACES, TEXTS } from '../vocabulary.ts'

interface Parts {
  method: string
  path: string
  host: string
  headers: readonly HeaderLine[]
  source: string | undefined
  destination: string | undefined
  peer: string | undefined
  local: string | undefined
  serverName: string | undefined
}

const RECENT = 8
const PATHS = [
  '/x',
  '/y',
  '/xx',
  '/xsx',
  '/',
  '/x?k=x',
  '/x?k=y',
  '/x?k=x&l=5',
  '/y?constructor=x&__proto__=y',
  '/x?k=x&k=x',
  '/x?k=%78',
  '/%78',
  '//x',
] as const
const HEADER_NAMES = [
  'k',
  'l',
  'constructor',
  '__proto__',
  'user-agent',
  'referer',
  'content-length',
  'content-type',
  'x-a',
] as const
const SOURCES = [
  '10.0.0.1:5',
  '10.0.0.1:5',
  '10.0.0.1:5',
  '10.0.0.1:6',
  '10.0.0.2:5',
  '[::1]:5',
  '[2001:db8::1]:5',
  '[::ffff:10.0.0.1]:5',
  undefined,
] as const
const PEERS = [undefined, 'eve', 'bob', 'amy', 'spiffe://c/ns/ns1/sa/eve', 'spiffe://c/ns/ns2/sa/eve'] as const

const FIELDS: { readonly [Name in keyof Parts]: (pick: Picker) => Parts[Name] } = {
  method: (pick) => pick.of(['GET', 'GET', 'x', 'y']),
  path: (pick) => pick.of(PATHS),
  host: (pick) => pick.of(['x', 'x', 'y', 'xx', '10.0.0.1', 'X']),
  headers: (pick) => HEADER_NAMES.filter(() => pick.chance(0.25)).flatMap((name) => linesOf(pick, name)),
  source: (pick) => pick.of(SOURCES),
  destination: (pick) => pick.of(['10.0.0.1:5', '10.0.0.2:80', undefined]),
  peer: (pick) => pick.of(PEERS),
  local: (pick) => (pick.chance(0.3) ? undefined : `spiffe://c/ns/${pick.of(NAMESPACES)}/sa/d`),
  serverName: (pick) => pick.of([undefined, 'x', 'y']),
}
const NAMES = Object.keys(FIELDS) as (keyof Parts)[]

function linesOf(pick: Picker, name: string): readonly HeaderLine[] {
  if (name === 'content-length') return [[name, pick.of(['0', '5', '6'])]]
  if (name === 'content-type') return [[name, pick.of(['application/grpc', 'x', 'application/grpc+x'])]]
  const value = () => (pick.chance(0.02) ? Buffer.from('é').toString('latin1') : pick.of(TEXTS))
  // Now and then two lines: most may be joined, of the user's agent there may be one only.
  return pick.chance(0.15)
    ? [
        [name, value()],
        [name, value()],
      ]
    : [[name, value()]]
}

export class RequestSource {
  readonly #pick: Picker
  readonly #recent: Parts[] = []

  constructor(pick: Picker) {
    this.#pick = pick
  }

  next(): EnvoyRequest {
    const pick = this.#pick
    const known = this.#recent[pick.int(RECENT)]
    if (known !== undefined && pick.chance(0.5)) return requestOf(known)
    const made = known === undefined || pick.chance(0.4) ? this.#fresh() : this.#neighbour(known)
    this.#recent.unshift(made)
    this.#recent.length = Math.min(this.#recent.length, RECENT)
    return requestOf(made)
  }

  #fresh(): Parts {
    return Object.fromEntries(NAMES.map((name) => [name, FIELDS[name](this.#pick)])) as unknown as Parts
  }

  #neighbour(known: Parts): Parts {
    const [first, ...others] = NAMES
    const name = this.#pick.of([first ?? 'path', ...others])
    return { ...known, [name]: FIELDS[name](this.#pick) }
  }
}

function requestOf({ method, path, host, headers, ...others }: Parts): EnvoyRequest {
  const pseudo: readonly HeaderLine[] = [
    [':method', method],
    [':path', path],
    [':authority', host],
    [':scheme', 'http'],
  ]
  const about = Object.entries(others).filter(([, value]) => value !== undefined)
  return { headers: [...pseudo, ...headers], ...(Object.fromEntries(about) as Partial<EnvoyRequest>) }
}
