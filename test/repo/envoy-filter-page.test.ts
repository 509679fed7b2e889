// docs/envoy-filter.md names settings, statistics and words for access logs that the filter has, all of them, with the defaults it has.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')
const page = read('docs/envoy-filter.md')
const settings = read('filter/assembly/plugin/settings.ts')
const every = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, found = '']) => found)

/** Defaults that are numbers, by the names of settings. */
function numbersOf(source: string): ReadonlyMap<string, number> {
  const fields = source.matchAll(/^ {2}(\w+): i32 = ([\d_* ]+)$/gm)
  return new Map(
    [...fields].map(([, field = '', value = '']) => [
      field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value
        .replaceAll('_', '')
        .split('*')
        .map(Number)
        .reduce((product, factor) => product * factor, 1),
    ]),
  )
}

describe('the page on the filter', () => {
  it('has all settings, with their defaults', () => {
    const known = every(/const KNOWN[^[]*\[(.*?)\]/s.exec(settings)?.[1] ?? '', /'([a-z_]+)'/g)
    const rows = [...page.matchAll(/^\| `([a-z_]+)` \| (?:`([^`]+)`|(\d+)|needed|none) \|/gm)]
    expect(known.length).toBeGreaterThan(8)
    expect(rows.map(([, name = '']) => name).toSorted()).toEqual(known.toSorted())
    const numbers = numbersOf(settings)
    for (const [, name = '', , number] of rows) {
      if (number === undefined) continue
      expect([name, numbers.get(name)]).toEqual([name, Number(number)])
    }
    expect(settings).toContain(`name: string = '${rows.find(([, name]) => name === 'name')?.[2]}'`)
  })

  it('has all settings of reports, with their defaults', () => {
    const source = read('filter/assembly/telemetry/report-settings.ts')
    const known = every(/refuseOthers\(\[(.*?)\]/s.exec(source)?.[1] ?? '', /'([a-z_]+)'/g)
    const rows = [...page.matchAll(/^\| `report\.([a-z_]+)` \| (?:(\d+)|none|`cluster`) \|/gm)]
    expect(known.length).toBeGreaterThan(5)
    expect(rows.map(([, name = '']) => name).toSorted()).toEqual(known.toSorted())
    const numbers = numbersOf(source)
    for (const [, name = '', number] of rows)
      if (number !== undefined) expect([name, numbers.get(name)]).toEqual([name, Number(number)])
  })

  it('has all statistics', () => {
    const sources = ['shared/counters.ts', 'telemetry/report-ledger.ts'].map((path) => read(`filter/assembly/${path}`))
    const counters = every(sources.join('\n'), /bytesOf\('intermix\.([a-z_.]+)'\)/g)
    const table = /Statistics of Envoy.*?\n\n(.*?)\n\n/s.exec(page)?.[1] ?? ''
    const named = table.split('\n').flatMap((row) => {
      const [, first = ''] = row.split('|')
      const names = every(first, /`([a-z_.]+)`/g)
      const [prefix = ''] = names[0]?.split('.') ?? []
      return names.map((name) => (name.startsWith('.') ? prefix + name : name))
    })
    expect(counters.length).toBeGreaterThan(10)
    expect(named.toSorted()).toEqual(counters.toSorted())
  })

  it('has all that access logs can read', () => {
    const apply = read('filter/assembly/plugin/apply.ts')
    const told = every(apply, /bytesOf\('(intermix\.[a-z_]+)'\)/g)
    expect(told.length).toBe(5)
    expect(every(page, /%FILTER_STATE\(wasm\.([a-z_.]+):PLAIN\)%/g).toSorted()).toEqual(told.toSorted())
    for (const details of every(apply, /bytesOf\('(intermix_[a-z_]+)'\)/g)) expect(page).toContain(`\`${details}\``)
  })

  it('shows YAML that is the one of the shipped config', () => {
    const [shown = ''] = every(page, /^```yaml\n(.*?)^```$/gms)
    const [document] = parseAllDocuments(shown)
    expect(document?.errors).toEqual([])
    const shipped = read('deploy/envoy-wasm/envoy.yaml').replaceAll(/^ +/gm, '')
    const lines = shown.split('\n').map((line) => line.trim())
    expect(lines.filter((line) => !shipped.includes(line) && !line.startsWith('value: '))).toEqual([])
  })
})
