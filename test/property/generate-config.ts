// Random configs for the oracle: few attributes and values, so that requests collide as often as possible in everything
// but what matters.

import { type LoadedConfig, parseConfigText } from '../../src/config/load.ts'

/** Picks from a seeded sequence. */
export interface Picker {
  /** A whole number from 0 to below `bound`. */
  int(bound: number): number
  of<T>(items: readonly [T, ...T[]]): T
  chance(share: number): boolean
}

/** Mulberry32: small, fast and good enough to choose test cases. */
export function seededPicker(seed: number): Picker & { readonly random: () => number } {
  let state = seed >>> 0
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  return {
    random,
    int: (bound) => Math.floor(random() * bound),
    of: (items) => items[Math.floor(random() * items.length)] as (typeof items)[0],
    chance: (share) => random() < share,
  }
}

const MANIFEST = `
apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: {name: all, namespace: istio-system}
spec:
  attributes:
    a: {valueType: STRING}
    b: {valueType: STRING}
    n: {valueType: INT64}
    d: {valueType: DURATION}
    ip: {valueType: IP_ADDRESS}
    m: {valueType: STRING_MAP}
    h: {valueType: STRING_MAP}
    source.principal: {valueType: STRING}
    destination.namespace: {valueType: STRING}
`

const TERMS = [
  'a == "x"',
  'a == "y"',
  'b == "x"',
  '(b | "x") == "x"',
  'n == 5',
  'n < 6',
  '(a | b) == "x"',
  'a.startsWith("x")',
  '(m["k"] | "x") == "x"',
  'm["k"] == "x"',
  'm["k"].startsWith("x")',
  'h["k"] == m["k"]',
  'ip == ip("10.0.0.1")',
  '"x.*".matches(a)',
  'match(b, "x*")',
  'source.principal == "eve"',
  'conditional(n == 5, a == "x", b == "y")',
  'd == "5ms"',
  '(d | "6ms") == "6ms"',
  'ip(b | "10.0.0.1") == ip',
  'ip(m["k"]) == ip',
  '(a + b).matches("x")',
] as const

const VALUES = [
  'a',
  'a | "none"',
  'b | a | "none"',
  'n',
  'd',
  'd | "1ms"',
  'ip',
  'm',
  'h',
  'm["k"] | "none"',
  'm["k"]',
  'conditional(a == "x", "x", b)',
  'source.principal | "nobody"',
  'a + b',
] as const

function match(pick: Picker): string {
  const terms = Array.from({ length: 1 + pick.int(3) }, () => pick.of(TERMS))
  return terms.join(pick.chance(0.7) ? ' && ' : ' || ')
}

function handler(name: string, pick: Picker): string {
  const adapter = pick.chance(0.7) ? 'remote' : 'computed'
  const stale = pick.of(['0s', '10s', '60s'])
  return `
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: {name: ${name}, namespace: istio-system, annotations: {policy.intermix.dev/staleIfError: ${stale}}}
spec: {compiledAdapter: ${adapter}, params: {salt: ${pick.int(3)}}}
`
}

function instance(name: string, pick: Picker): string {
  return `
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: {name: ${name}, namespace: istio-system}
spec: {compiledTemplate: listentry, params: {value: '${pick.of(VALUES)}'}}
`
}

function headerValues(pick: Picker): string {
  const values = Array.from({ length: 1 + pick.int(2) }, () => pick.of(['a', 'b | "none"', 'm["k"] | "none"']))
  return values.map((value) => `'${value}'`).join(', ')
}

function rule(name: string, pick: Picker): string {
  const namespace = pick.of(['istio-system', 'istio-system', 'ns1', 'ns2'])
  const policy = pick.of(['open', 'closed'])
  const failure = pick.of(['unknown', 'noMatch'])
  const headers = pick.chance(0.4) ? `\n  requestHeaderOperations: [{name: x-a, values: [${headerValues(pick)}]}]` : ''
  const matching = pick.chance(0.9) ? `\n  match: '${match(pick)}'` : ''
  return `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: ${name}, namespace: ${namespace}, annotations: {policy.intermix.dev/failPolicy: ${policy}, policy.intermix.dev/matchFailure: ${failure}}}
spec:
  actions: [{handler: h${pick.int(3)}.istio-system, instances: [i${pick.int(4)}.istio-system]}]${matching}${headers}
`
}

/** The parts of a config; changing one and keeping the others is a config change. */
export interface ConfigParts {
  readonly handlers: readonly string[]
  readonly instances: readonly string[]
  readonly rules: readonly string[]
}

export function randomParts(pick: Picker): ConfigParts {
  return {
    handlers: [0, 1, 2].map((i) => handler(`h${i}`, pick)),
    instances: [0, 1, 2, 3].map((i) => instance(`i${i}`, pick)),
    rules: Array.from({ length: 1 + pick.int(5) }, (_, i) => rule(`r${i}`, pick)),
  }
}

/** The same config with one object written anew. */
export function changeOne(parts: ConfigParts, pick: Picker): ConfigParts {
  const replaced = (list: readonly string[], write: (name: string, pick: Picker) => string, letter: string) => {
    const at = pick.int(list.length)
    return list.map((text, i) => (i === at ? write(`${letter}${i}`, pick) : text))
  }
  const kind = pick.int(3)
  if (kind === 0) return { ...parts, handlers: replaced(parts.handlers, handler, 'h') }
  if (kind === 1) return { ...parts, instances: replaced(parts.instances, instance, 'i') }
  return { ...parts, rules: replaced(parts.rules, rule, 'r') }
}

export function loadParts(parts: ConfigParts): LoadedConfig {
  return parseConfigText('random.yaml', [MANIFEST, ...parts.handlers, ...parts.instances, ...parts.rules].join('---'))
}
