// Allows or denies by membership in a list, given in the params or fetched from a URL and kept fresh.

import { defineAdapter, type CheckResult, type Handler } from '../../adapter-kit/define-adapter.ts'
import { fetchText, placeOf } from '../../adapter-kit/fetch-text.ts'
import { RefreshingSource } from '../../adapter-kit/refreshing-source.ts'
import type { ListEntryInstance } from '../../adapter-kit/templates.ts'
import { valueToText } from '../../adapter-kit/value-text.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { Code, OK_STATUS, type Status } from '../../kernel/status.ts'
import { config, type ListConfig, validate } from './config.ts'
import { compileEntries, type EntryList, readEntries } from './entries.ts'

const HOUR_MS = 3_600_000

interface FetchedList {
  readonly text: string
  readonly list: EntryList
}

export default defineAdapter({
  name: 'listchecker',
  description: 'Allows or denies by membership in a list of strings, networks or regular expressions',
  templates: ['listentry'],
  config,
  doesIo: false,
  staleIfErrorMs: HOUR_MS,
  validate,
  create(params, env): Handler {
    if (params.providerUrl === '') {
      const list = compileEntries(params.entryType, params.overrides)
      return { check: { listentry: (instance) => answer(params, list, instance) } }
    }
    const what = `the list of ${placeOf(params.providerUrl)}`
    const source = new RefreshingSource<FetchedList>({
      what,
      refreshMs: params.refreshInterval,
      ttlMs: params.ttl,
      clock: env.clock,
      random: env.random,
      log: env.log,
      load: async (signal, previous) => {
        const { fetch, clock } = env
        const { providerUrl: url, timeout: timeoutMs, maxBytes } = params
        const response = await fetchText({ fetch, clock, url, timeoutMs, maxBytes, signal })
        if (response.status !== 200)
          throw new IntermixError('BACKEND_FAILED', `${what}: HTTP status ${response.status}`)
        return response.text === previous?.text ? previous : compile(params, response.text)
      },
    })
    return {
      start: () => source.start(),
      stop: () => source.stop(),
      check: { listentry: (instance) => answer(params, source.current().list, instance) },
    }
  },
})

// One bad entry refuses the whole list: a block list that lost an entry would let someone in.
function compile(params: ListConfig, text: string): FetchedList {
  try {
    const entries = [...readEntries(params.entryType, text), ...params.overrides]
    return { text, list: compileEntries(params.entryType, entries) }
  } catch (error) {
    throw new IntermixError('BACKEND_FAILED', (error as Error).message, { cause: error })
  }
}

function answer(params: ListConfig, list: EntryList, instance: ListEntryInstance): CheckResult {
  return {
    status: decide(params, list, instance),
    validForMs: Math.floor(params.cachingInterval),
    validUses: params.cachingUseCount,
  }
}

function decide(params: ListConfig, list: EntryList, { name, fields }: ListEntryInstance): Status {
  const { value } = fields
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
    const message = `${name}: a list is asked about a string or an IP address, not ${value === undefined ? 'nothing' : 'this'}`
    return { code: Code.INVALID_ARGUMENT, message }
  }
  let found: boolean
  try {
    found = list.has(value)
  } catch (error) {
    return { code: Code.INVALID_ARGUMENT, message: (error as Error).message }
  }
  if (found !== params.blacklist) return OK_STATUS
  const verdict = params.blacklist ? 'is blacklisted' : 'is not whitelisted'
  return { code: Code.PERMISSION_DENIED, message: `${valueToText(value)} ${verdict}` }
}
