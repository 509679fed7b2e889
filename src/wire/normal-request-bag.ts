// The bag that policy reads: paths and hosts in normal form, what came under names of its own.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { ReferencedAttribute } from '../kernel/read-log.ts'
import { type AttributeValue, isStringMap, type StringMap } from '../kernel/value.ts'
import { AmbiguousRequest, type PathAmbiguity, quoted } from './ambiguity.ts'
import { normalHost } from './normal-host.ts'
import { type Dots, normalPath } from './normal-path.ts'
import { QueryParams } from './query-params.ts'
import { queryOf } from './request-path.ts'

/** The path and the host as they came. A caller cannot state these: they follow from `request.path` and `request.host`. */
const RAW_PATH = 'request.raw_path'
const RAW_HOST = 'request.raw_host'

const QUERY_PARAMS = 'request.query_params'

/**
 * A request's attributes with `request.path`, `request.url_path`, `request.host` and the headers `:path`, `:authority` and
 * `host` in normal form (`normal-path.ts`, `normal-host.ts`), methods in capitals, `request.raw_path` and `request.raw_host` beside them. Those
 * headers always say what `request.path` and `request.host` say, and where one of `:authority` and `host` is, both are: by
 * which of them a request names its host depends on the version of HTTP only. `request.query_params` says what the query of
 * `request.path` says, decoded, whether or not the request states it; parameters that servers do not agree on are ambiguous.
 */
export class NormalRequestBag implements AttributeBag {
  readonly #base: AttributeBag
  readonly #allowed: ReadonlySet<PathAmbiguity>
  readonly #dots: Dots
  readonly #rawPath: string | undefined
  readonly #rawHost: string | undefined
  readonly #path: string | undefined
  readonly #host: string | undefined
  /** `undefined` also where it follows from the path. */
  readonly #urlPath: string | undefined
  /** Whether a path came in another form. */
  readonly #isRewritten: boolean
  #headers: StringMap | undefined
  #queryParams: AttributeValue | undefined

  /** @throws AmbiguousRequest where a path or host has no normal form, or a path names another host than the request. */
  constructor(base: AttributeBag, allowed: ReadonlySet<PathAmbiguity>, dots: Dots = 'resolve') {
    this.#base = base
    this.#allowed = allowed
    this.#dots = dots
    this.#rawPath = textOf(base.get('request.path'))
    this.#rawHost = textOf(base.get('request.host'))
    const host = this.#rawHost ?? this.#header(':authority') ?? this.#header('host')
    try {
      if (host !== undefined) this.#host = normalHost(host)
    } catch (caught) {
      throw about('request.host', caught)
    }
    const path = this.#rawPath ?? this.#header(':path')
    try {
      if (path !== undefined) this.#path = this.#normal(path)
    } catch (caught) {
      throw about('request.path', caught)
    }
    const urlPath = textOf(base.get('request.url_path'))
    try {
      if (urlPath !== undefined && !isPathOf(urlPath, this.#rawPath)) this.#urlPath = this.#normal(urlPath)
    } catch (caught) {
      throw about('request.url_path', caught)
    }
    this.#isRewritten = this.#path !== path || (this.#urlPath ?? urlPath) !== urlPath
  }

  get(name: string): AttributeValue | undefined {
    switch (name) {
      case 'request.path':
        return this.#rawPath === undefined ? this.#base.get(name) : this.#path
      case 'request.url_path': {
        const value = this.#base.get(name)
        return typeof value === 'string' ? (this.#urlPath ?? withoutQuery(this.#path ?? '')) : value
      }
      case 'request.host':
        return this.#rawHost === undefined ? this.#base.get(name) : this.#host
      case 'request.method':
        return methodOf(this.#base.get(name))
      case 'request.headers':
        return this.#headersOf(this.#base.get(name))
      case QUERY_PARAMS:
        this.#queryParams ??= this.#readQueryParams()
        return this.#queryParams
      case RAW_PATH:
        return this.#rawPath
      case RAW_HOST:
        return this.#rawHost
      default:
        return this.#base.get(name)
    }
  }

  *names(): Generator<string> {
    for (const name of this.#base.names()) if (name !== RAW_PATH && name !== RAW_HOST) yield name
    if (this.#base.get(QUERY_PARAMS) === undefined && this.get(QUERY_PARAMS) !== undefined) yield QUERY_PARAMS
    if (this.#rawPath !== undefined) yield RAW_PATH
    if (this.#rawHost !== undefined) yield RAW_HOST
  }

  /**
   * The request as a server takes it that does not resolve `..`; `undefined` where that is no other: `/admin/../open` is
   * about `/admin` there.
   */
  unresolved(): NormalRequestBag | undefined {
    if (!this.#isRewritten) return undefined
    const other = new NormalRequestBag(this.#base, this.#allowed, 'keep')
    return other.#path === this.#path && other.#urlPath === this.#urlPath ? undefined : other
  }

  /** Whether a read depended on nothing but what the caller sent under that very name: `sent` gives the read itself. */
  isSent({ name, key, whole }: ReferencedAttribute): boolean {
    if (name === 'request.headers') return !whole && key !== ':path' && key !== 'host' && key !== ':authority'
    return name !== RAW_PATH && name !== RAW_HOST && name !== QUERY_PARAMS
  }

  /**
   * What the caller sent, or did not send, that a read depended on. It knows no raw names; and what a header of these says
   * is said elsewhere, while whether it is there is the header's own matter.
   */
  sent(read: ReferencedAttribute): readonly ReferencedAttribute[] {
    const { name, key, condition, whole } = read
    if (name === RAW_PATH) return [this.#sentAs('request.path', this.#rawPath)]
    if (name === RAW_HOST) return [this.#sentAs('request.host', this.#rawHost)]
    if (name === QUERY_PARAMS) return [this.#sentParam(read), this.#sentAs('request.path', this.#rawPath)]
    if (name !== 'request.headers') return [read]
    if (whole) return [read, this.#sentAs('request.path', this.#rawPath), this.#sentAs('request.host', this.#rawHost)]
    if (key === ':path' && condition === 'EXACT') return [read, this.#sentAs('request.path', this.#rawPath)]
    return key === 'host' || key === ':authority' ? this.#sentHost(condition) : [read]
  }

  /** Either header shows that there is a host; which it is, `request.host` says, or else `:authority` before `host`. */
  #sentHost(condition: ReferencedAttribute['condition']): readonly ReferencedAttribute[] {
    const header = (key: string, is = condition) => ({ name: 'request.headers', key, condition: is, whole: false })
    if (condition === 'ABSENCE') return [header(':authority'), header('host')]
    const host = this.#sentAs('request.host', this.#rawHost)
    if (this.#header(':authority') !== undefined) return [header(':authority'), host]
    return [header(':authority', 'ABSENCE'), header('host'), host]
  }

  /** What the request states may be less than its query, or spelled otherwise. */
  #sentParam(read: ReferencedAttribute): ReferencedAttribute {
    const stated = this.#base.get(QUERY_PARAMS)
    if (stated === undefined) return attribute(QUERY_PARAMS, 'ABSENCE')
    if (read.key === undefined || !isStringMap(stated)) return read
    return { ...read, condition: stated.get(read.key) === undefined ? 'ABSENCE' : 'EXACT' }
  }

  #sentAs(name: string, value: string | undefined): ReferencedAttribute {
    return attribute(name, value === undefined && this.#base.get(name) === undefined ? 'ABSENCE' : 'EXACT')
  }

  #header(name: string): string | undefined {
    const headers = this.#base.get('request.headers')
    return headers !== undefined && isStringMap(headers) ? headers.get(name) : undefined
  }

  #readQueryParams(): AttributeValue | undefined {
    const stated = this.#base.get(QUERY_PARAMS)
    if (stated instanceof QueryParams) return stated.unambiguous()
    const query = this.#rawPath === undefined ? '' : queryOf(this.#rawPath)
    if (query === '' || (stated !== undefined && !isStringMap(stated))) return stated
    return new QueryParams(query).unambiguous(stated)
  }

  #headersOf(value: AttributeValue | undefined): AttributeValue | undefined {
    if (value === undefined || !isStringMap(value)) return value
    this.#headers ??= new NormalHeaders(value, this.#path, this.#host)
    return this.#headers
  }

  /** A target in absolute-form names the host again. */
  #normal(path: string): string {
    if (path.charCodeAt(0) === SLASH) return normalPath(path, this.#allowed, this.#dots)
    const [, authority, rest = ''] = ABSOLUTE.exec(path) ?? []
    if (authority === undefined) {
      if (/^[a-z][a-z0-9+.-]*:\//i.test(path))
        throw new AmbiguousRequest('path', `${quoted(path)} is a URL of another kind`)
      return normalPath(path, this.#allowed, this.#dots)
    }
    if (normalHost(authority) !== this.#host) {
      const other = this.#host === undefined ? 'no host is given' : `the host is ${quoted(this.#host)}`
      throw new AmbiguousRequest('host', `the path names the host ${quoted(authority)}, and ${other}`)
    }
    return normalPath(rest.startsWith('/') ? rest : `/${rest}`, this.#allowed, this.#dots)
  }
}

function attribute(name: string, condition: ReferencedAttribute['condition']): ReferencedAttribute {
  return { name, key: undefined, condition, whole: false }
}

const SLASH = 0x2f
const ABSOLUTE = /^https?:\/\/([^/?#]*)(.*)$/is

class NormalHeaders implements StringMap {
  readonly #base: StringMap
  readonly #path: string | undefined
  readonly #host: string | undefined

  constructor(base: StringMap, path: string | undefined, host: string | undefined) {
    this.#base = base
    this.#path = path
    this.#host = host
  }

  get size(): number {
    let size = 0
    for (const _ of this.entries()) size++
    return size
  }

  get(key: string): string | undefined {
    if (key === ':method') return methodOf(this.#base.get(key))
    if (key === ':path') return this.#base.get(key) === undefined ? undefined : this.#path
    if (key !== 'host' && key !== ':authority') return this.#base.get(key)
    return (this.#base.get('host') ?? this.#base.get(':authority')) === undefined ? undefined : this.#host
  }

  *entries(): Generator<[string, string]> {
    for (const [key, value] of this.#base.entries()) {
      if (key !== 'host' && key !== ':authority') yield [key, key.startsWith(':') ? (this.get(key) ?? value) : value]
    }
    const host = this.get('host')
    if (host === undefined) return
    yield [':authority', host]
    yield ['host', host]
  }
}

/** In capitals: methods are told apart by case (RFC 9110, section 9.1), but many servers take `delete` for DELETE. */
function methodOf<T extends AttributeValue | undefined>(method: T): T | string {
  if (typeof method !== 'string' || USUAL.has(method)) return method
  return /[a-z]/.test(method) ? method.toUpperCase() : method
}

const USUAL: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

function textOf(value: AttributeValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Whether the one is the other without its query. */
function isPathOf(urlPath: string, path: string | undefined): boolean {
  return (
    path !== undefined && path.startsWith(urlPath) && (path.length === urlPath.length || path[urlPath.length] === '?')
  )
}

function withoutQuery(path: string): string {
  const mark = path.indexOf('?')
  return mark < 0 ? path : path.slice(0, mark)
}

/** Names the attribute in the message of a refusal. */
function about(attribute: string, caught: unknown): unknown {
  if (!(caught instanceof AmbiguousRequest)) return caught
  return new AmbiguousRequest(caught.ambiguity, `${attribute}: ${caught.message}`)
}
