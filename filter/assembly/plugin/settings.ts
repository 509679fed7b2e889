// The settings of the filter: JSON in the configuration of the plugin.

import { Bytes, bytesOf, EMPTY } from '../bytes/bytes'
import { isSettable } from '../request/attributes'
import { Property } from '../request/properties'
import { readReportSettings, ReportSettings } from '../telemetry/report-settings'
import { targetOf } from '../wire/grpc-target'
import { Given } from '../shared/given'
import { Json, JsonReader, JsonValue } from '../shared/json'

export const enum FailPolicy {
  CLOSED = 0,
  OPEN = 1,
  /** As the rules say that are chosen for the request, where these are known; else closed. */
  RULES = 2,
}

export class Settings {
  /** The cluster of the nodes, as `targetOf` says it. */
  cluster: Bytes = EMPTY
  /** Under which nodes know this filter; a number of its own comes behind it. */
  name: string = 'envoy-filter'
  /** How long a request waits for an answer. */
  timeoutMs: i32 = 200
  /** What becomes of a request that nobody judges. */
  failPolicy: i32 = FailPolicy.RULES
  /** The HTTP status of a request that nobody judges and that is not let through. */
  statusOnError: i32 = 503
  /** The property that holds the address of the source. */
  source: i32 = Property.DIRECT_ADDRESS
  /** Attributes that are the same for all requests: names and values in turns. */
  set: Array<Bytes> = []
  maxEntries: i32 = 10_000
  maxBytes: i32 = 16 * 1024 * 1024
  /** Checks a second that may be asked before their answers end. */
  refreshesPerSecond: i32 = 100
  /** Whether access logs can tell of each answer, and not of denials alone. */
  tellsAll: bool = false
  /** How nodes are told of requests; `null` where they are not. */
  report: ReportSettings | null = null

  readonly problems: Array<string> = []

  get names(): Array<Bytes> {
    const names: Array<Bytes> = []
    for (let i = 0; i < this.set.length; i += 2) names.push(this.set[i])
    return names
  }
}

const KNOWN: Array<string> = [
  'cluster',
  'name',
  'timeout_ms',
  'fail_policy',
  'status_on_error',
  'source_address',
  'context_extensions',
  'max_entries',
  'max_bytes',
  'refreshes_per_second',
  'provenance',
  'report',
]

/** Reads settings; what is wrong with them is in `problems`, all at once. */
export function readSettings(text: string): Settings {
  const settings = new Settings()
  const problems = settings.problems
  const reader = new JsonReader()
  const root = reader.read(text)
  if (root === null) {
    problems.push(
      'the configuration is no JSON: ' +
        reader.problem +
        '; in the config of Envoy it has to be a google.protobuf.StringValue',
    )
    return settings
  }
  if (root.kind !== Json.OBJECT) {
    problems.push('the configuration must be a JSON object')
    return settings
  }
  const given = new Given(root, problems, '')
  given.refuseOthers(KNOWN)
  const cluster = given.text('cluster', '')
  settings.cluster = targetOf(bytesOf(cluster))
  if (cluster.length === 0) problems.push("cluster: name the cluster of the nodes, in Envoy's own configuration")
  settings.name = given.text('name', settings.name)
  settings.timeoutMs = given.integer('timeout_ms', settings.timeoutMs, 1, 60_000)
  settings.failPolicy = given.oneOf('fail_policy', ['closed', 'open', 'rules'], FailPolicy.RULES)
  settings.statusOnError = given.integer('status_on_error', settings.statusOnError, 400, 599)
  const source = given.oneOf('source_address', ['direct', 'downstream'], -1)
  if (source < 0) {
    problems.push(
      'source_address: say which address is source.ip. "direct" is the peer of the connection, which a set_filter_state filter before this one ' +
        'has to store as intermix.source_address; "downstream" is what Envoy makes of x-forwarded-for, which a client can forge where use_remote_address is not set',
    )
  }
  settings.source = source === 1 ? Property.DOWNSTREAM_ADDRESS : Property.DIRECT_ADDRESS
  settings.maxEntries = given.integer('max_entries', settings.maxEntries, 1, 1_000_000)
  settings.maxBytes = given.integer('max_bytes', settings.maxBytes, 65_536, 1 << 30)
  settings.refreshesPerSecond = given.integer('refreshes_per_second', settings.refreshesPerSecond, 0, 100_000)
  settings.tellsAll = given.oneOf('provenance', ['denials', 'all'], 0) === 1
  readSet(root.get('context_extensions'), settings)
  const report = root.get('report')
  if (report !== null) settings.report = readReportSettings(report, settings.cluster, problems)
  return settings
}

function readSet(value: JsonValue | null, settings: Settings): void {
  if (value === null) return
  if (value.kind !== Json.OBJECT) {
    settings.problems.push('context_extensions: must be an object of attribute names and texts')
    return
  }
  for (let i = 0; i < value.names.length; i++) {
    const name = value.names[i]
    const item = value.items[i]
    const field = 'context_extensions.' + name
    if (item.kind !== Json.TEXT) settings.problems.push(field + ": must be a text, whatever the attribute's type is")
    else if (!isSettable(bytesOf(name)))
      settings.problems.push(field + ': what describes the request itself cannot be set here')
    else {
      settings.set.push(bytesOf(name))
      settings.set.push(bytesOf(item.text))
    }
  }
}
