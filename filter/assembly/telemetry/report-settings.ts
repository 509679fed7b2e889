// How the filter tells nodes of requests: `report` in its settings.

import { Bytes, bytesOf, EMPTY, isBytes } from '../bytes/bytes'
import { FORWARDED_ATTRIBUTES } from '../request/header-names'
import { Given } from '../shared/given'
import { targetOf } from '../wire/grpc-target'
import { Json, JsonValue } from '../shared/json'

/** Of one call: nodes take messages of 4 MiB. */
const MAX_CALL_BYTES = 3 * 1024 * 1024
/** A bound that is small leaves room for what comes while a call is on its way. */
const CALL_PART = 4
const MAX_NAMES = 64

export class ReportSettings {
  /** As `targetOf` says it. */
  cluster: Bytes = EMPTY
  /** Names of headers whose values records have; others stay here. */
  requestHeaders: Array<Bytes> = []
  responseHeaders: Array<Bytes> = []
  /** Bound of what is held, a call on its way included. */
  maxBytes: i32 = 4 * 1024 * 1024
  /** A call has so many records at most, unless one batch has more, and so many bytes. */
  callRecords: i32 = 4_000
  callBytes: i32 = 1024 * 1024
  /** How long a record waits for others. */
  waitMs: i32 = 1_000
}

/** Reads `report`. @param cluster of nodes, where the settings name none of their own */
export function readReportSettings(value: JsonValue, cluster: Bytes, problems: Array<string>): ReportSettings {
  const settings = new ReportSettings()
  if (value.kind !== Json.OBJECT) {
    problems.push('report: must be an object; {} for reports by the defaults')
    return settings
  }
  const given = new Given(value, problems, 'report.')
  given.refuseOthers([
    'cluster',
    'request_headers',
    'response_headers',
    'max_bytes',
    'call_records',
    'call_bytes',
    'wait_ms',
  ])
  const own = bytesOf(given.text('cluster', ''))
  settings.cluster = own.length === 0 ? cluster : targetOf(own)
  settings.requestHeaders = readNames(value, 'request_headers', problems)
  settings.responseHeaders = readNames(value, 'response_headers', problems)
  settings.maxBytes = given.integer('max_bytes', settings.maxBytes, 262_144, 1 << 30)
  settings.callRecords = given.integer('call_records', settings.callRecords, 1, 100_000)
  settings.callBytes = given.integer('call_bytes', settings.callBytes, 16_384, MAX_CALL_BYTES)
  settings.callBytes = min(settings.callBytes, settings.maxBytes / CALL_PART)
  settings.waitMs = given.integer('wait_ms', settings.waitMs, 20, 60_000)
  return settings
}

function readNames(root: JsonValue, field: string, problems: Array<string>): Array<Bytes> {
  const names: Array<Bytes> = []
  const value = root.get(field)
  if (value === null) return names
  if (value.kind !== Json.LIST || value.items.length > MAX_NAMES) {
    problems.push('report.' + field + ': must be a list of names of headers, ' + MAX_NAMES.toString() + ' at most')
    return names
  }
  for (let i = 0; i < value.items.length; i++) {
    const name = bytesOf(value.items[i].text)
    if (value.items[i].kind === Json.TEXT && isName(name) && !isBytes(name, FORWARDED_ATTRIBUTES)) names.push(name)
    else {
      const where = 'report.' + field + '[' + i.toString() + ']'
      problems.push(where + ': must be the name of a header in lower case; x-istio-attributes is never told')
    }
  }
  return names
}

/** Whether these are lower case, digits and what else may stand in a header's name; none that begins with a colon. */
function isName(name: Bytes): bool {
  for (let i = 0; i < name.length; i++) {
    const code = name[i]
    const isPlain =
      (code >= 0x61 && code <= 0x7a) ||
      (code >= 0x30 && code <= 0x39) ||
      code === 0x2d ||
      code === 0x5f ||
      code === 0x2e
    if (!isPlain) return false
  }
  return name.length > 0
}
