import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { folderSource } from '../../../src/config/folder-source.ts'
import { parseConfigText } from '../../../src/config/load.ts'
import type { Logger } from '../../../src/kernel/ports.ts'
import { limitOf } from '../../../src/quota/descriptors/domain.ts'
import { WatchedDomains } from '../../../src/quota/descriptors/watched-domains.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { ReadableMeter } from '../../redis/support.ts'
import { entries } from './domains.ts'

const config = (domain: string, requests: number | string) =>
  `{domain: ${domain}, descriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: ${requests}}}]}`

const errors: string[] = []
const log: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (_, message) => errors.push(message),
  child: () => log,
}

let folder: string
let meter: ReadableMeter
let watched: WatchedDomains | undefined
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'intermix-domains-'))
  meter = new ReadableMeter()
  errors.length = 0
})
afterEach(async () => {
  watched?.close()
  await rm(folder, { recursive: true, force: true })
})

async function open(): Promise<WatchedDomains> {
  const clock = new FakeClock()
  watched = new WatchedDomains({ source: folderSource(folder, { clock, log }), clock, log, meter })
  await watched.start()
  return watched
}

const put = (file: string, text: string) => writeFile(join(folder, file), text)

function requests(domains: WatchedDomains, name: string): number | undefined {
  const domain = domains.domain(name)
  return domain && limitOf(domain, entries('a=1'))?.requestsPerUnit
}

describe('a folder of rate limits', () => {
  it('is read again when it changes, and a domain that is gone limits nothing', async () => {
    await put('one.yaml', config('one', 1))
    await put('two.yaml', config('two', 2))
    const domains = await open()
    expect([requests(domains, 'one'), requests(domains, 'two'), requests(domains, 'three')]).toEqual([1, 2, undefined])
    await put('one.yaml', config('one', 100))
    await rm(join(folder, 'two.yaml'))
    await domains.reload()
    expect([requests(domains, 'one'), requests(domains, 'two')]).toEqual([100, undefined])
  })

  it('goes on with the last good limits of a domain that gets errors, and takes the others', async () => {
    await put('one.yaml', config('one', 1))
    await put('two.yaml', config('two', 2))
    const domains = await open()
    await put('one.yaml', config('one', 'many'))
    await put('two.yaml', config('two', 22))
    await domains.reload()
    expect([requests(domains, 'one'), requests(domains, 'two')]).toEqual([1, 22])
    expect(errors.join('\n')).toContain('one.yaml:1:81: error: descriptors[0].rate_limit.requests_per_unit: ')
    expect(meter.values.get('rate_limit_domains quarantined')).toBe(1)
    await put('two.yaml', '{domain: two')
    await domains.reload()
    expect([requests(domains, 'one'), requests(domains, 'two')]).toEqual([1, 22])
    await put('one.yaml', config('one', 11))
    await put('two.yaml', config('two', 222))
    await domains.reload()
    expect([requests(domains, 'one'), requests(domains, 'two')]).toEqual([11, 222])
    expect(meter.values.get('rate_limit_domains quarantined')).toBe(0)
  })

  it('keeps all limits when it is empty of a sudden, as a mount that failed is', async () => {
    await put('one.yaml', config('one', 1))
    const domains = await open()
    await rm(join(folder, 'one.yaml'))
    await domains.reload()
    expect(requests(domains, 'one')).toBe(1)
  })

  it('says that it does not know the limits of a domain that was never good, rather than that there are none', async () => {
    await put('one.yaml', config('one', 1))
    await put('bad.yaml', `${config('bad', 'many')}\n---\n${config('syntax', 1)}]\n---\n${config('merge', '{<<: 1}')}`)
    const domains = await open()
    expect(requests(domains, 'one')).toBe(1)
    for (const name of ['bad', 'syntax', 'merge'])
      expect(() => domains.domain(name), name).toThrow(`the limits of the domain "${name}" have errors`)
    expect(meter.values.get('rate_limit_domains quarantined')).toBe(3)
  })

  it('is no use without one good domain', async () => {
    await put('bad.yaml', config('bad', 'many'))
    await expect(open()).rejects.toMatchObject({ code: 'INVALID_CONFIG' })
    await expect(open()).rejects.toThrow('bad.yaml:1:81: error: ')
  })
})

describe('domains between the documents of rules', () => {
  const rules = '\n---\n{apiVersion: config.istio.io/v1alpha2, kind: rule, metadata: {name: r}}\n'
  const parsed = (text: string) => parseConfigText('rules.yaml', text)

  async function openBeside(config: string, source = false): Promise<WatchedDomains> {
    const clock = new FakeClock()
    const own = source ? folderSource(folder, { clock, log }) : undefined
    watched = new WatchedDomains({ source: own, clock, log, meter })
    watched.takeFrom(parsed(config))
    await watched.start()
    return watched
  }

  it('are limits like any others, and follow the config', async () => {
    const domains = await openBeside(`${config('one', 1)}${rules}---\n${config('two', 2)}`)
    expect([requests(domains, 'one'), requests(domains, 'two'), requests(domains, 'three')]).toEqual([1, 2, undefined])
    domains.takeFrom(parsed(`${config('one', 100)}${rules}`))
    expect([requests(domains, 'one'), requests(domains, 'two')]).toEqual([100, undefined])
    expect(errors).toEqual([])
  })

  it('are none of the rules’ business: a bad one costs neither rules nor other domains', async () => {
    const bad = `${config('one', 'many')}\n---\n{domain: broken, descriptors: [}\n---\n${config('two', 2)}${rules}`
    expect(parsed(bad).problems).toEqual([])
    expect(parsed(bad).documents).toHaveLength(1)
    const domains = await openBeside(bad)
    expect(requests(domains, 'two')).toBe(2)
    for (const name of ['one', 'broken'])
      expect(() => domains.domain(name)).toThrow(`the limits of the domain "${name}" have errors`)
    expect(errors.join('\n')).toMatch(/rules\.yaml:1:\d+: error: descriptors\[0\].*\n.*rules\.yaml:3:\d+: error: /)
    expect(domains.isEmpty).toBe(false)
  })

  it('go on as they were when they get errors', async () => {
    const domains = await openBeside(`${config('one', 1)}${rules}`)
    domains.takeFrom(parsed(`${config('one', 'many')}${rules}`))
    expect(requests(domains, 'one')).toBe(1)
    domains.takeFrom(parsed(`{domain: one, descriptors: [}${rules}`))
    expect(requests(domains, 'one')).toBe(1)
  })

  it('must not be called as one of the other folder is: neither is taken, and both places are named', async () => {
    await put('one.yaml', config('one', 1))
    await put('two.yaml', config('two', 2))
    const domains = await openBeside(`${config('one', 3)}${rules}`, true)
    expect(() => domains.domain('one')).toThrow('the limits of the domain "one" have errors')
    expect(requests(domains, 'two')).toBe(2)
    const place = join(folder, 'one.yaml')
    expect(errors.join('\n')).toContain(`rules.yaml:1:1: error: the domain "one" stands at ${place}:1:1 already`)
  })

  it('need not be there', async () => {
    const domains = await openBeside(rules)
    expect(domains.isEmpty).toBe(true)
    expect(domains.domain('one')).toBeUndefined()
  })
})
