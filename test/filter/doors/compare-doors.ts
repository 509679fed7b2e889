// Asks the filter and Envoy's own about random requests under random rules, and holds one against the other.

import { deepStrictEqual } from 'node:assert'
import type { CheckResult } from '../../../src/adapter-kit/define-adapter.ts'
import type { EnvoyRequest } from '../../helpers/envoy-request.ts'
import type { HeaderLine } from '../../helpers/proxy-wasm/header-lines.ts'
import type { CheckedModule } from '../../helpers/proxy-wasm/vm.ts'
import { seededPicker } from '../../properties/random.ts'
import { FilterBench } from '../filter-bench.ts'
import { byExtAuthz, type Seen } from './ext-authz-filter.ts'
import { ASKED, oddRequest, oddRules } from './odd-requests.ts'

const REQUESTS = 25
const REFUSED = 400
const UPSTREAM: readonly HeaderLine[] = [
  [':status', '200'],
  ['x-up', 'of the upstream'],
  ['server', 'upstream'],
]

/** The same for a value each time. */
function say(value: string): Partial<CheckResult> {
  const denied = { status: { code: 7, message: `no\r\n${value.slice(0, 20)}` } }
  switch ((value.length + (value.codePointAt(value.length - 1) ?? 0)) % 6) {
    case 0:
      return denied
    case 1:
      return {
        ...denied,
        directResponse: { code: 302, body: 'see é', headers: { Location: '/é', 'x y': 'z', 'content-type': 'a/b' } },
      }
    case 2:
      return { ...denied, directResponse: { code: 999, body: '', headers: { 'x-up': ' a\r\nb ' } } }
    case 3:
      return { status: { code: 8, message: 'later' } }
    default:
      return {}
  }
}

async function byFilter(bench: FilterBench, request: EnvoyRequest): Promise<Seen & { readonly tier: string }> {
  const { headers, ...about } = request
  const filtered = bench.request(headers, { source: undefined, ...about } as typeof about)
  for (let i = 0; filtered.state === 'waiting' && i < 50; i++) await bench.clock.advance(20)
  const goesOn = filtered.state === 'continued'
  const response = goesOn ? filtered.respond(UPSTREAM) : undefined
  const { localReply } = filtered
  const status = goesOn ? 0 : (localReply?.status ?? -1)
  const seen = {
    status,
    body: localReply?.body ?? '',
    request: goesOn ? filtered.headers : [],
    response: response ?? [[':status', String(status)], ...(localReply?.headers ?? [])],
    tier: filtered.filterState.get('intermix.tier')?.toString() ?? '',
  }
  filtered.finish()
  return seen
}

/**
 * Lines of a header in one. When to try again depends on when it is asked, and what is said of a request that is refused for what it is on
 * what was read of it first.
 */
function comparable({ status, body, request, response }: Seen) {
  if (status === REFUSED) return { status }
  const joined = (lines: readonly HeaderLine[]) => {
    const all = new Map<string, string>()
    for (const [name, value] of lines) {
      const before = all.get(name)
      const separator = name === 'cookie' ? '; ' : ','
      all.set(name, name === 'retry-after' ? 'some' : before === undefined ? value : `${before}${separator}${value}`)
    }
    return Object.fromEntries([...all].toSorted(([one], [other]) => (one < other ? -1 : 1)))
  }
  return { status, body, request: joined(request), response: joined(response) }
}

/** What came of requests. */
export interface Compared {
  kept: number
  denied: number
  allowed: number
}

/** @throws Error that says which request they do not agree about */
export async function compareDoors(module: CheckedModule, seed: number, seen: Compared): Promise<void> {
  const pick = seededPicker(seed)
  const normalizes = pick.chance(0.5)
  const rules = oddRules(pick)
  const bench = await FilterBench.start({ module, rules, normalizes, value: pick.of(ASKED) })
  bench.say = say
  const [node] = bench.nodes
  if (node === undefined) throw new Error('no node')
  const requests = Array.from({ length: REQUESTS }, () => oddRequest(pick))
  for (const request of requests) {
    const first = await byFilter(bench, request)
    const second = await byFilter(bench, request)
    const right = await byExtAuthz(node.authz, request, bench.clock.now(), UPSTREAM)
    try {
      if (right === undefined) deepStrictEqual(first.tier, 'none')
      else deepStrictEqual(comparable(first), comparable(right))
      deepStrictEqual(comparable(second), comparable(first))
    } catch (caught) {
      const about = JSON.stringify({ normalizes, rules, request }).slice(0, 4_000)
      throw new Error(`seed ${seed}: ${about}: ${caught instanceof Error ? caught.message : ''}`, { cause: caught })
    }
    if (second.tier === 'filter') seen.kept++
    if (first.status === 0) seen.allowed++
    else seen.denied++
  }
  if (bench.host.failures > 0) throw new Error(`seed ${seed}: the module trapped`)
  bench.host.stop()
}
