import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadConfigFolder, parseConfigText } from '../../../src/config/load.ts'
import { formatProblem } from '../../../src/kernel/problem.ts'
import { counterKey, limitName } from '../../../src/quota/descriptors/counter-key.ts'
import { DescriptorLevels, limitOf } from '../../../src/quota/descriptors/domain.ts'
import { loadDomains } from '../../../src/quota/descriptors/load-domains.ts'
import { domainsOf, entries, problemsOf } from './domains.ts'

const TREE = `
domain: d
descriptors:
  - {key: a, rate_limit: {unit: second, requests_per_unit: 1}}
  - key: a
    value: x
    rate_limit: {unit: MINUTE, requests_per_unit: 2}
    descriptors:
      - {key: b, rate_limit: {unit: hour, requests_per_unit: 3}}
  - {key: a, value: y*z, rate_limit: {unit: week, requests_per_unit: 4}}
  - {key: a, value: y*, rate_limit: {unit: year, requests_per_unit: 5}}
  - key: c
    descriptors:
      - {key: c, rate_limit: {unit: month, requests_per_unit: 6}}
`

describe('the limit of a descriptor', () => {
  const domain = domainsOf(TREE).get('d')
  if (domain === undefined) throw new Error('no domain')
  const found = (...texts: readonly string[]) => limitOf(domain, entries(...texts))?.requestsPerUnit

  it('is that of key and value, else of the first pattern, else of the key', () => {
    expect(found('a=other')).toBe(1)
    expect(found('a=x')).toBe(2)
    expect(found('a=y-1-z')).toBe(4)
    expect(found('a=yz')).toBe(4)
    expect(found('a=y')).toBe(5)
    expect(limitOf(domain, entries('a=x'))).toMatchObject({ unit: 'minute', isUnlimited: false, isShadow: false })
  })

  it('is none where the descriptor goes deeper than the config, ends before a limit, or is not there', () => {
    expect(found('a=x', 'b=1')).toBe(3)
    expect(found('a=other', 'b=1')).toBeUndefined()
    expect(found('a=x', 'b=1', 'e=1')).toBeUndefined()
    expect(found('c=1')).toBeUndefined()
    expect(found('c=1', 'c=2')).toBe(6)
    expect(found('nothing=1')).toBeUndefined()
  })

  it('takes what a pattern describes, and nothing else', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), maxLength: 8 })
    const level = domain.levels.find({ key: 'a', value: 'x' })
    if (level === undefined) throw new Error('no level')
    fc.assert(
      fc.property(text, text, (pattern, value) => {
        fc.pre(pattern.includes('*'))
        const levels = new DescriptorLevels()
        levels.add(`k_${pattern}`, level)
        const quoted = pattern.split('*').map((part) => part.replaceAll('.', '\\.'))
        const isTaken = new RegExp(`^${quoted.join('.*')}$`).test(value)
        expect(levels.find({ key: 'k', value }) !== undefined).toBe(isTaken)
      }),
    )
  })
})

describe('the name of a counter', () => {
  it('tells descriptors, domains and units apart, and is never too long', () => {
    const word = fc.string({ unit: fc.constantFrom('a', '|', '=', '%', '#', '*', '7'), maxLength: 4 })
    const list = fc.array(fc.record({ key: word, value: word }), { maxLength: 3 })
    fc.assert(
      fc.property(word, list, word, list, (domain, one, other, two) => {
        const isSame = JSON.stringify([domain, one]) === JSON.stringify([other, two])
        expect(counterKey(domain, one, 'day') === counterKey(other, two, 'day')).toBe(isSame)
      }),
    )
    expect(counterKey('d', entries('a=b'), 'day')).not.toBe(counterKey('d', entries('a=b'), 'hour'))
    const long = 'x'.repeat(10_000)
    expect(counterKey('d', entries(`a=${long}`), 'day').length).toBeLessThan(200)
    expect(counterKey('d', entries(`a=${long}`), 'day')).not.toBe(counterKey('d', entries(`a=${long}y`), 'day'))
  })

  it('is one for all values of a pattern that shares its threshold, at its own level only', () => {
    const domain = domainsOf(`
domain: d
descriptors:
  - key: file
    value: f*
    share_threshold: true
    descriptors:
      - {key: user, rate_limit: {unit: day, requests_per_unit: 1}}
`).get('d')
    if (domain === undefined) throw new Error('no domain')
    const key = (...texts: readonly string[]) =>
      counterKey('d', entries(...texts), 'day', limitOf(domain, entries(...texts)))
    expect(key('file=fa', 'user=1')).toBe(key('file=fb', 'user=1'))
    expect(key('file=fa', 'user=1')).not.toBe(key('file=fa', 'user=2'))
  })

  it('in metrics shows what came in descriptors only where the config asks for that', () => {
    const domain = domainsOf(`
domain: d
descriptors:
  - {key: a, rate_limit: {unit: day, requests_per_unit: 1}}
  - {key: b, value: x*, rate_limit: {unit: day, requests_per_unit: 1}}
  - {key: c, detailed_metric: true, rate_limit: {unit: day, requests_per_unit: 1}}
  - {key: e, value: y*, share_threshold: true, detailed_metric: true, rate_limit: {unit: day, requests_per_unit: 1}}
  - key: f
    value_to_metric: true
    descriptors: [{key: g, rate_limit: {unit: day, requests_per_unit: 1}}]
`).get('d')
    if (domain === undefined) throw new Error('no domain')
    const name = (...texts: readonly string[]) => {
      const limit = limitOf(domain, entries(...texts))
      return limit && limitName(limit, entries(...texts))
    }
    expect(name('a=1')).toBe('a')
    expect(name('b=x1')).toBe('b_x*')
    expect(name('c=1')).toBe('c_1')
    expect(name('e=y1')).toBe('e_y*')
    expect(name('f=1', 'g=2')).toBe('f_1.g')
  })
})

describe('a config of rate limits', () => {
  it('may say all that envoyproxy/ratelimit knows, and how we charge', () => {
    const domain = domainsOf(`
domain: d
intermix: {charge: all, accuracy: 1%, redis_away: closed}
descriptors:
  - key: status
    value: 404
    shadow_mode: true
    quota_mode: true
    metadata: {anything: [1, {goes: true}]}
    rate_limit: {name: few, unit: day, requests_per_unit: 1, replaces: [{name: many}]}
  - {key: free, rate_limit: {unlimited: true}}
`).get('d')
    expect(domain?.charging).toEqual({ mode: 'all', accuracy: 0.01, away: 'closed' })
    expect(domain && limitOf(domain, entries('status=404'))).toMatchObject({
      name: 'few',
      isShadow: true,
      isQuota: true,
      replaces: ['many'],
      metadata: new Map([['anything', [1, new Map([['goes', true]])]]]),
    })
    expect(domain && limitOf(domain, entries('free=1'))?.isUnlimited).toBe(true)
  })

  it('is refused with the place of each mistake', () => {
    expect(
      problemsOf(`
domain: d
descriptors:
  - {value: x}
  - {key: a, rate_limit: {unit: fortnight, requests_per_unit: -1}}
  - {key: b, rate_limit: {unlimited: true, unit: day}}
  - {key: c, rate_limit: {unit: day, requests_per_unit: 1, name: n, replaces: [{name: n}, {}]}}
  - {key: e, value: v, share_threshold: true}
  - {key: e, value: v}
  - {key: f, ratelimit: {unit: day}}
  - text
  - {key: g, shadow_mode: often}
  - {key: h, metadata: [1]}
`),
    ).toEqual([
      'limits.yaml:4:5: error: descriptors[0]: the descriptor has no "key". [missing-field]',
      'limits.yaml:5:33: error: descriptors[1].rate_limit.unit: "unit" must be one of second, minute, hour, day, month, year, week, not "fortnight". [invalid-value]',
      'limits.yaml:5:63: error: descriptors[1].rate_limit.requests_per_unit: "requests_per_unit" must be a whole number up to 4294967295. [invalid-value]',
      'limits.yaml:6:50: error: descriptors[2].rate_limit.unit: what is unlimited has no "unit": leave one of the two out. [invalid-value]',
      'limits.yaml:7:87: error: descriptors[3].rate_limit.replaces[0].name: the limit "n" cannot replace itself. [invalid-value]',
      'limits.yaml:7:91: error: descriptors[3].rate_limit.replaces[1]: an item of "replaces" is "name: NAME", of another limit. [missing-field]',
      'limits.yaml:8:41: error: descriptors[4].share_threshold: "share_threshold" goes with a value that holds *, such as "value: user-*". [invalid-value]',
      'limits.yaml:9:5: error: descriptors[5]: "e_v" stands here already, at limits.yaml:8:5: join the two, or give one of them another value. [duplicate-descriptor]',
      'limits.yaml:10:14: error: descriptors[6].ratelimit: a descriptor has no field "ratelimit". Did you mean "rate_limit"? [unknown-field]',
      'limits.yaml:11:5: error: descriptors[7]: a descriptor must be a map of fields, beginning with "key". [wrong-type]',
      'limits.yaml:12:27: error: descriptors[8].shadow_mode: must be true or false, not "often". [wrong-type]',
      'limits.yaml:13:24: error: descriptors[9].metadata: "metadata" must be a map of fields (key: value). [wrong-type]',
    ])
    expect(problemsOf('{domain: d, descriptors: [{key: a, rate_limit: {unit: day}}]}')).toEqual([
      'limits.yaml:1:48: warning: descriptors[0].rate_limit: without "requests_per_unit" nothing passes. [missing-field]',
    ])
    expect(
      problemsOf('{domain: d, descriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: ""}}]}'),
    ).toHaveLength(1)
    expect(problemsOf('descriptors: []')).toEqual([
      'limits.yaml:1:1: error: "domain" is missing: a name that is not empty. [missing-field]',
    ])
  })

  it('leaves out the bad domain alone, and both of two with one name', () => {
    const loaded = parseConfigText(
      'limits.yaml',
      'domain: good\n---\ndomain: bad\ndescriptors: [{}]\n---\ndomain: twice\n---\ndomain: twice\n',
    )
    const { domains, quarantined, problems } = loadDomains({ own: loaded })
    expect([...domains.keys()]).toEqual(['good'])
    expect([...quarantined]).toEqual(['bad', 'twice'])
    expect(problems.map(formatProblem).join('\n')).toContain(
      'limits.yaml:8:1: error: the domain "twice" stands at limits.yaml:6:1 already: join the two.',
    )
  })

  it('merges maps as envoyproxy/ratelimit does', () => {
    // What `gopkg.in/yaml.v2`, with its structures, reads of these.
    const domain = domainsOf(`
domain: d
descriptors:
  - &a {key: a, rate_limit: &l {unit: minute, requests_per_unit: 5}}
  - <<: *a
    key: b
  - <<: *a
    key: c
    rate_limit: {requests_per_unit: 9}
  - {key: m, rate_limit: &m {<<: *l, name: m, requests_per_unit: 7}}
  - {key: d, rate_limit: {<<: [*m, {unit: hour, unlimited: false}], requests_per_unit: 8}}
  - {key: e, rate_limit: {<<: [{requests_per_unit: 3}, *m]}}
`).get('d')
    const told = ['a=1', 'b=1', 'c=1', 'd=1', 'e=1'].map((entry) => {
      const limit = domain && limitOf(domain, entries(entry))
      return `${limit?.requestsPerUnit} ${limit?.unit} ${limit?.name}`
    })
    expect(told).toEqual(['5 minute ', '5 minute ', '9 minute ', '8 minute m', '3 minute m'])
  })

  it('refuses a merge that readers understand differently, or not at all', () => {
    expect(problemsOf('domain: d\ndescriptors:\n  - &a {key: a}\n  - key: b\n    <<: *a').join()).toBe(
      'limits.yaml:5:5: error: "key" stands before "<<", which brings one, too: put "<<" first [yaml-value]',
    )
    expect(problemsOf('{domain: d, descriptors: [{<<: 5}]}').join()).toContain(
      '"<<" must have a map, or a list of maps',
    )
    expect(problemsOf('{domain: d, descriptors: [{"<<": {key: a}}]}').join()).toContain('has no field "<<"')
    const bomb = Array.from({ length: 30 }, (_, at) => `  - &x${at} {<<: [*x${at - 1}, *x${at - 1}], key: a${at}}`)
    const text = `domain: d\ndescriptors:\n  - &x0 {value: v}\n${bomb.slice(1).join('\n')}`
    expect(problemsOf(text).join()).toContain('more than 200000 values')
  })

  it('of our examples has no mistakes', async () => {
    const folder = join(import.meta.dirname, '../../../examples/ratelimit')
    const { domains, problems } = loadDomains({ own: await loadConfigFolder(folder) })
    expect(problems.map(formatProblem)).toEqual([])
    expect([...domains.keys()]).toEqual(['shop'])
  })
})
