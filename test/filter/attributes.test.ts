import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ENVOY_CHECK_ATTRIBUTES } from '../../src/wire/envoy-attributes.ts'

const source = readFileSync(new URL('../../filter/assembly/request/attributes.ts', import.meta.url), 'utf8')
const list = /const NAMES[^\n]*\[\n(.*?)\n\]/s.exec(source)?.[1] ?? ''
const known = [...list.matchAll(/bytesOf\('([^']+)'\)/g)].map(([, name]) => name ?? '')

/** What the filter's message never says, or always says alike: every request has the same. */
const FIXED = [
  'source.labels',
  'destination.labels',
  'destination.service.name',
  'context.reporter.kind',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'request.auth.claims',
  'request.auth.raw_claims',
]
/** What nodes add where they bring a request into normal form. */
const ADDED = ['request.raw_path', 'request.raw_host']

describe("the filter's attributes", () => {
  it('are all that nodes derive of its requests: what it does not know it takes for absent', () => {
    expect(known.toSorted()).toEqual(
      [...ENVOY_CHECK_ATTRIBUTES.filter((name) => !FIXED.includes(name)), ...ADDED].toSorted(),
    )
    expect(FIXED.filter((name) => !ENVOY_CHECK_ATTRIBUTES.includes(name))).toEqual([])
  })
})
