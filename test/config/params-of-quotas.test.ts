// What people hear who mistype the params of a real adapter.

import { describe, expect, it } from 'vitest'
import quota from '../../src/adapters/quota/index.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'

function told(quotas: string): readonly string[] {
  const text = `
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: limits}
spec: {adapter: quota, params: {quotas: [${quotas}]}}
`
  const { problems } = compileSnapshot(parseConfigText('limits.yaml', text), {
    adapters: new Map([['quota', quota]]),
  })
  return problems.filter(({ severity }) => severity === 'error').map(({ path, message }) => `${path}: ${message}`)
}

const DURATION = 'must be a duration with its unit, such as "30s" or "1h5m"; a day is "24h".'
const ACCURACY = 'must be "exact" or a percentage below 100%, such as 1%.'
const LIMIT = 'limits: [{maxAmount: 1, validDuration: 1s}]'

describe('a mistake in the params of quotas', () => {
  it.each([
    ['{name: a, limits: [{maxAmount: 1, validDuration: 60}]}', `limits[0].validDuration: "60" ${DURATION}`],
    ['{name: a, limits: [{maxAmount: 1, validDuration: 30d}]}', `limits[0].validDuration: "30d" ${DURATION}`],
    [
      '{name: a, limits: [{maxAmount: 1, validDuration: [1s]}]}',
      `limits[0].validDuration: this ${DURATION.slice(0, -1)}, not a list.`,
    ],
    [
      '{name: a, limits: [{maxAmount: 1, valid_duration: 8761h}]}',
      'limits[0].valid_duration: "8761h" is out of range: it must be from 0s to 8760h.',
    ],
    [`{name: a, accuracy: 1, ${LIMIT}}`, `accuracy: "1" ${ACCURACY}`],
    [`{name: a, accuracy: 100%, ${LIMIT}}`, `accuracy: ${ACCURACY}`],
    ['{name: a, limits: []}', 'limits: this must have at least 1 item.'],
    [`{name: "", ${LIMIT}}`, 'name: "" must have at least 1 character.'],
    ['{name: a, limits: [{maxAmount: -1, validDuration: 1s}]}', 'limits[0].maxAmount: "-1" must be at least 0.'],
    [
      '{name: a, limits: [{maxAmount: 99999999999999999999, validDuration: 1s}]}',
      'limits[0].maxAmount: "99999999999999999999" must be at most 9007199254740991.',
    ],
  ])('%s', (params, expected) => {
    expect(told(params)).toEqual([`spec.params.quotas[0].${expected}`])
  })
})
