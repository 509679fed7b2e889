// One request, as far as it has been looked at. What is read of the host is remembered, for there may be many questions.

import { Bytes, copyOf, EMPTY, isBytes } from '../bytes/bytes'
import { Headers } from './headers'
import { isNormalHost, isNormalMethod, isNormalPath } from './normal-form'
import { Property, readProperty, valueAt, valueSize } from './properties'
import { AUTHORITY, COOKIE, HOST, METHOD, PATH } from './header-names'

/** What a node takes by default (`--max-attribute-bytes`, `--max-map-entries`) is more; so much is kept here. */
const MAX_HEADER_BYTES = 60 * 1024
/** Of a request with more lines a node looks at each. */
const MAX_LINES = 200

export class Request {
  /** Whether an answer of another request may be this one's at all. Where not, a node looks at it. */
  isComparable: bool = false
  /** Whether method, path and host are as policy sees them. Where not, requests with them spelled alike are compared alone. */
  isNormal: bool = false
  /** The property that holds the address of the source. */
  source: i32 = 0
  method: usize = 0
  methodSize: i32 = 0
  path: usize = 0
  pathSize: i32 = 0
  /** Of the path without its query. */
  urlPathSize: i32 = 0
  host: usize = 0
  hostSize: i32 = 0
  private readonly propertyAt: StaticArray<usize> = new StaticArray<usize>(Property.COUNT)
  /** -1: not read yet. */
  private readonly propertySizes: StaticArray<i32> = new StaticArray<i32>(Property.COUNT)
  /** What the properties lie in, where they have to outlive the callback. */
  private own: StaticArray<Bytes> | null = null

  constructor(readonly headers: Headers = new Headers()) {}

  /** Takes the request that the callback is about. @param source the property that holds the address of its source */
  load(source: i32): void {
    this.own = null
    this.source = source
    for (let i = 0; i < Property.COUNT; i++) unchecked((this.propertySizes[i] = -1))
    this.isComparable = this.headers.load()
    this.look()
  }

  private look(): void {
    const headers = this.headers
    const method = headers.find(METHOD)
    const path = headers.find(PATH)
    const host = headers.find(AUTHORITY)
    this.method = method < 0 ? 0 : headers.valueAt(method)
    this.methodSize = method < 0 ? 0 : headers.valueSize(method)
    this.path = path < 0 ? 0 : headers.valueAt(path)
    this.pathSize = path < 0 ? 0 : headers.valueSize(path)
    this.host = host < 0 ? 0 : headers.valueAt(host)
    this.hostSize = host < 0 ? 0 : headers.valueSize(host)
    this.urlPathSize = this.pathSize
    for (let i = 0; i < this.pathSize; i++) {
      const code = load<u8>(this.path + <usize>i)
      if (code === 0x3f || code === 0x23) {
        this.urlPathSize = i
        break
      }
    }
    // A node refuses some of these, or reads them in a way of its own.
    if (
      method < 0 ||
      path < 0 ||
      host < 0 ||
      headers.find(HOST) >= 0 ||
      headers.size > MAX_HEADER_BYTES ||
      headers.count > MAX_LINES ||
      !headers.isAscii() ||
      headers.hasForbiddenRepetition()
    )
      this.isComparable = false
    this.isNormal =
      isNormalPath(this.path, this.pathSize) &&
      isNormalHost(this.host, this.hostSize) &&
      isNormalMethod(this.method, this.methodSize)
  }

  /** Whether Envoy has a property, which then lies at `propertyPlace`. */
  hasProperty(property: i32): bool {
    let size = this.propertySizes[property]
    if (size < 0) {
      // What was not read while the request was here is not known any more.
      size = this.own === null && readProperty(property) ? valueSize : 0
      this.propertyAt[property] = valueAt
      this.propertySizes[property] = size
    }
    return size > 0
  }

  propertyPlace(property: i32): usize {
    return this.propertyAt[property]
  }

  propertySize(property: i32): i32 {
    return this.propertySizes[property]
  }

  /** The same request in memory that lasts, with all that may be asked of it. */
  kept(): Request {
    const kept = new Request(this.headers.kept())
    const own = new StaticArray<Bytes>(Property.COUNT)
    kept.isComparable = this.isComparable
    for (let i = 0; i < Property.COUNT; i++) {
      own[i] = this.hasProperty(i) ? copyOf(this.propertyAt[i], this.propertySizes[i]) : EMPTY
      kept.propertyAt[i] = own[i].dataStart
      kept.propertySizes[i] = own[i].length
    }
    kept.own = own
    kept.source = this.source
    kept.look()
    return kept
  }

  /**
   * The value of a header, all its lines joined as a node joins them: by commas, cookies by `; `. It lies at `joinedAt` until the
   * callback ends. @returns its size; -1 where the request does not have it
   */
  header(name: Bytes): i32 {
    const first = this.headers.find(name)
    return first < 0 ? -1 : this.headers.joined(first, name, isBytes(name, COOKIE))
  }
}
