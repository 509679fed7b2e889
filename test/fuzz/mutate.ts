// Makes hostile input from good input: the seeds come near enough to what a decoder expects to reach its depths.

function below(random: () => number, limit: number): number {
  return Math.floor(random() * limit)
}

function pick<T>(random: () => number, list: readonly T[]): T {
  return list[below(random, list.length)] as T
}

const MAX_BYTES = 64 * 1024
/** Lengths, indexes and tags at the edges of their ranges. */
const EDGES: readonly Buffer[] = [
  Buffer.from([0]),
  Buffer.from([0x7f]),
  Buffer.from([0x80]),
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]),
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x01]),
  Buffer.from([0x0b]),
  Buffer.from('\ud83d\ude00', 'utf8'),
  Buffer.from('"__proto__":'),
]

type Mutation = (bytes: Buffer, random: () => number, other: Buffer) => Buffer

const MUTATIONS: readonly Mutation[] = [
  function flipBit(bytes, random) {
    const at = below(random, bytes.length)
    const copy = Buffer.from(bytes)
    if (copy.length > 0) copy[at] = (copy[at] ?? 0) ^ (1 << below(random, 8))
    return copy
  },
  function setByte(bytes, random) {
    const copy = Buffer.from(bytes)
    if (copy.length > 0) copy[below(random, copy.length)] = below(random, 256)
    return copy
  },
  function insertEdge(bytes, random) {
    const at = below(random, bytes.length + 1)
    return Buffer.concat([bytes.subarray(0, at), pick(random, EDGES), bytes.subarray(at)])
  },
  function replaceByEdge(bytes, random) {
    const at = below(random, bytes.length + 1)
    const edge = pick(random, EDGES)
    return Buffer.concat([bytes.subarray(0, at), edge, bytes.subarray(at + edge.length)])
  },
  function remove(bytes, random) {
    const at = below(random, bytes.length + 1)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(random, 8))])
  },
  function truncate(bytes, random) {
    return bytes.subarray(0, below(random, bytes.length + 1))
  },
  function splice(bytes, random, other) {
    return Buffer.concat([bytes.subarray(0, below(random, bytes.length)), other.subarray(below(random, other.length))])
  },
  function append(bytes, _random, other) {
    return Buffer.concat([bytes, other])
  },
  function repeatSlice(bytes, random) {
    const at = below(random, bytes.length)
    const slice = bytes.subarray(at, at + 1 + below(random, 64))
    const times = 1 + below(random, random() < 0.02 ? 4_000 : 8)
    return Buffer.concat([bytes.subarray(0, at), ...Array.from({ length: times }, () => slice), bytes.subarray(at)])
  },
  function wrap(bytes, random) {
    const tag = (1 + below(random, 15)) * 8 + 2
    let wrapped = bytes
    for (let depth = 1 + below(random, random() < 0.05 ? 400 : 3); depth > 0; depth--) {
      const length = [(wrapped.length & 0x7f) | 0x80, ((wrapped.length >> 7) & 0x7f) | 0x80, (wrapped.length >> 14) & 3]
      wrapped = Buffer.concat([Buffer.from([tag, ...length]), wrapped])
    }
    return wrapped
  },
]

/** A hostile neighbour of one of the seeds, or plain noise now and then. At most 64 KiB. */
export function hostileBytes(seeds: readonly Buffer[], random: () => number): Buffer {
  if (random() < 0.1) return Buffer.from(Array.from({ length: below(random, 200) }, () => below(random, 256)))
  let bytes = pick(random, seeds)
  for (let steps = 1 + below(random, 4); steps > 0; steps--) {
    bytes = pick(random, MUTATIONS)(bytes, random, pick(random, seeds)).subarray(0, MAX_BYTES)
  }
  return bytes
}

const TOKENS: readonly string[] = [
  ...'( ) [ ] { } . , | || && == != < <= > >= + - * / % ! ? : & ^ => := \\ ` \' " 0 1 1.5 0x 1e999 9223372036854775808'.split(
    ' ',
  ),
  ...'true false nil "s" "10s" \'c\' `raw` "\\u00e9" "\\ud800" "*" "(a+)+$" ip( match( .matches( .startsWith( size('.split(
    ' ',
  ),
  ...'conditional( timestamp( dnsName( email( uri( emptyStringMap() in has( .exists(x, .map(x,'.split(' '),
  ...'source.name source.ip request.headers request.headers["a"] response.code request.time connection.mtls'.split(' '),
  ' ',
  '\n',
  '\0',
  '\u00e9',
  '\u{1f600}',
  '\ud800',
]

/** Expression text: a changed seed, a row of tokens, or one token over and over. At most 8 192 UTF-16 units. */
export function hostileText(seeds: readonly string[], random: () => number): string {
  const kind = random()
  let text: string
  if (kind < 0.5) {
    text = pick(random, seeds)
    for (let steps = 1 + below(random, 3); steps > 0; steps--) {
      const at = below(random, text.length + 1)
      const cut = below(random, 4)
      text = text.slice(0, at) + (random() < 0.7 ? pick(random, TOKENS) : '') + text.slice(at + cut)
    }
  } else if (kind < 0.97) {
    text = Array.from({ length: 1 + below(random, 16) }, () => pick(random, TOKENS)).join(random() < 0.5 ? ' ' : '')
  } else {
    const unit = random() < 0.5 ? pick(random, TOKENS) : `${pick(random, TOKENS)}${pick(random, TOKENS)}`
    text = pick(random, seeds) + unit.repeat(1 + below(random, random() < 0.2 ? 4_000 : 100))
  }
  return text.slice(0, 8_192)
}

const VALUES: readonly unknown[] = [
  null,
  true,
  '',
  'api_key',
  '\ud83d\ude00',
  'x'.repeat(300),
  '\0',
  0,
  -1,
  1.5,
  4_294_967_296,
  2 ** 53,
  1e308,
  [],
  {},
  [[]],
]
const MOST_COPIES = 200

/** A neighbour of one of the seeds that is JSON: values exchanged, names lost or changed, lists grown. */
export function hostileJson(seeds: readonly object[], random: () => number): string {
  const json = structuredClone(pick(random, seeds))
  for (let steps = 1 + below(random, 3); steps > 0; steps--) {
    let at: object = json
    for (;;) {
      const keys = Object.keys(at)
      if (keys.length === 0) break
      const name = pick(random, keys)
      const value = (at as Record<string, unknown>)[name]
      if (typeof value === 'object' && value !== null && random() < 0.8) at = value
      else {
        change(at as Record<string, unknown>, name, random)
        break
      }
    }
    if (Array.isArray(at) && at.length > 0)
      for (let copies = below(random, random() < 0.1 ? MOST_COPIES : 3); copies > 0; copies--)
        at.push(structuredClone(at[0]))
  }
  return JSON.stringify(json)
}

function change(of: Record<string, unknown>, name: string, random: () => number): void {
  const kind = random()
  if (kind < 0.6) of[name] = structuredClone(pick(random, VALUES))
  else if (kind < 0.8) delete of[name]
  else of[`${name}${pick(random, ['', 'x', '\\', '"', '__proto__'])}`] = of[name]
}
