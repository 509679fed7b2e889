// Handlers: a configured adapter with its params, deadline and stale bound.

import type { AnyAdapter } from '../adapter-kit/define-adapter.ts'
import { templatesOf } from '../adapter-kit/templates.ts'
import type { CompileContext } from './compile-context.ts'
import type { ConfigNode, MapNode, ScalarNode } from './config-node.ts'
import { digestOf } from './digest.ts'
import { Fields } from './fields.ts'
import { INTERMIX_API } from './kinds.ts'
import { type ConfigObject, Extras } from './objects.ts'
import { parseParams, reportConfigIssues } from './params.ts'
import type { HandlerConfig } from './snapshot.ts'
import { suggest } from '../kernel/suggest.ts'
import { DEFAULT_STALE_FOR_MS } from '../kernel/verdict.ts'
import { readDuration, readNumber } from './values.ts'

const TIMEOUT_BOUNDS = { minMs: 1, maxMs: 600_000 }
const STALE_BOUNDS = { minMs: 0, maxMs: 24 * 3_600_000 }
const COST_BOUNDS = { min: 0, max: 1e6 }
const SETTINGS = [
  'timeout',
  'reportTimeout',
  'staleIfError',
  'staleWhileRevalidate',
  'maxDenyValidFor',
  'costPerCall',
] as const
type Settings = Readonly<Record<(typeof SETTINGS)[number], ScalarNode | undefined>>

interface HandlerSource {
  readonly fullName: string
  /** Where the handler is named, for problems of the handler as a whole. */
  readonly owner: ConfigNode
  readonly adapter: AnyAdapter
  readonly params: MapNode | undefined
  readonly settings: Settings
}

/** Compiles a `handler` object, or one of a legacy kind whose spec is the params. */
export function compileHandler(object: ConfigObject, context: CompileContext): HandlerConfig | undefined {
  const { problems } = context
  const extras = new Extras(object, SETTINGS, problems)
  const owner = object.nameNode
  if (object.role.role === 'handler' && object.role.adapter !== undefined) {
    const adapter = context.options.adapters.get(object.role.adapter)
    const settings = settingsFrom((name) => extras.get(name))
    return adapter && build({ fullName: object.fullName, owner, adapter, params: object.spec, settings }, context)
  }
  const spec = object.spec
  if (spec === undefined) {
    problems.error(owner, 'missing-field', 'the handler has no "spec" with its adapter and params.')
    return undefined
  }
  const own = object.api === INTERMIX_API ? SETTINGS : []
  const names = ['name', 'adapter', 'compiledAdapter', 'params', 'connection', ...own] as const
  const fields = new Fields(spec, 'a handler', names, problems, foreignFields(object))
  const adapter = findAdapter(fields.scalar('compiledAdapter') ?? fields.scalar('adapter'), spec, context)
  const params = fields.map('params')
  const connection = readConnection(fields.map('connection'), context)
  const settings = settingsFrom((name) => {
    const field = fields.get(name)
    return extras.get(name, name === 'timeout' ? (field ?? connection) : field)
  })
  return adapter && build({ fullName: object.fullName, owner, adapter, params, settings }, context)
}

/** Compiles a handler that is written within a rule's action. */
export function compileInlineHandler(
  node: MapNode,
  fullName: string,
  context: CompileContext,
): HandlerConfig | undefined {
  const names = ['name', 'adapter', 'params', ...SETTINGS] as const
  const fields = new Fields(node, 'a handler', names, context.problems)
  const adapter = findAdapter(fields.scalar('adapter'), node, context)
  const params = fields.map('params')
  const settings = settingsFrom((name) => fields.scalar(name))
  return adapter && build({ fullName, owner: node, adapter, params, settings }, context)
}

function settingsFrom(read: (name: keyof Settings) => ScalarNode | undefined): Settings {
  return {
    timeout: read('timeout'),
    reportTimeout: read('reportTimeout'),
    staleIfError: read('staleIfError'),
    staleWhileRevalidate: read('staleWhileRevalidate'),
    maxDenyValidFor: read('maxDenyValidFor'),
    costPerCall: read('costPerCall'),
  }
}

function foreignFields(object: ConfigObject): ReadonlyMap<string, string> {
  if (object.api === INTERMIX_API) return new Map()
  return new Map(SETTINGS.map((name) => [name, `policy.intermix.dev/${name}`]))
}

function findAdapter(
  node: ScalarNode | undefined,
  spec: MapNode,
  { options, problems }: CompileContext,
): AnyAdapter | undefined {
  if (node === undefined) {
    problems.error(spec, 'missing-field', 'the handler names no adapter: add "compiledAdapter".')
    return undefined
  }
  const adapter = options.adapters.get(node.text)
  if (adapter === undefined) {
    const hint = suggest(node.text, options.adapters.keys())
    problems.error(node, 'unknown-adapter', `unknown adapter "${node.text}".${hint}`)
  }
  return adapter
}

/** Of Mixer's `connection` only the timeout has a meaning: adapters run in this process. */
function readConnection(connection: MapNode | undefined, { problems }: CompileContext): ScalarNode | undefined {
  if (connection === undefined) return undefined
  const fields = new Fields(connection, 'a connection', ['address', 'timeout', 'authentication'], problems)
  for (const name of ['address', 'authentication'] as const) {
    const node = fields.get(name)
    if (node === undefined) continue
    const message = `"connection.${name}" is ignored: the adapter runs in this process and takes addresses as params.`
    problems.warn(node, 'ignored-field', message)
  }
  return fields.scalar('timeout')
}

function build(source: HandlerSource, context: CompileContext): HandlerConfig | undefined {
  const { problems } = context
  const { adapter, params, owner } = source
  const before = problems.errorCount
  const limits = readLimits(adapter, source.settings, context)
  refuseInProcesses(source, context)
  const cost = source.settings.costPerCall
  const costPerCall = (cost && readNumber(cost, COST_BOUNDS, problems)) ?? 0
  const parsed = parseParams(params, owner, adapter.config, problems, SETTINGS)
  if (parsed === undefined) return undefined
  reportConfigIssues(validate(adapter, parsed.parsed), params, owner, problems)
  if (problems.errorCount > before) return undefined
  const digest = digestOf([adapter.name, parsed.normalised, parsed.parsed, limits])
  return Object.freeze({ name: source.fullName, adapter, params: parsed.parsed, digest, costPerCall, ...limits })
}

/** What is granted once in one process is granted as often as there are processes. */
function refuseInProcesses({ adapter, owner, fullName }: HandlerSource, { options, problems }: CompileContext): void {
  if (options.processes === 1 || adapter.oneProcess === undefined) return
  const why = `${adapter.name} counts in each process by itself, and this node has ${options.processes} of them`
  const advice = `use ${adapter.oneProcess.insteadUse}, or --processes 1`
  problems.error(owner, 'one-process', `the handler "${fullName}" would grant too much: ${why}; ${advice}.`)
}

function readLimits(adapter: AnyAdapter, settings: Settings, { options, problems }: CompileContext) {
  const varieties = [...templatesOf(adapter).values()].map(({ variety }) => variety)
  const onlyReports = varieties.every((variety) => variety === 'report')
  const takesReports = varieties.includes('report')
  const onlyQuotas = varieties.every((variety) => variety === 'quota')
  const read = (node: ScalarNode | undefined, bounds: typeof STALE_BOUNDS) =>
    node && readDuration(node, bounds, problems)
  const timeoutMs = read(settings.timeout, TIMEOUT_BOUNDS)
  const reportTimeoutMs = read(settings.reportTimeout, TIMEOUT_BOUNDS)
  if (settings.reportTimeout !== undefined && !takesReports) {
    const message = `"reportTimeout" has no effect: the adapter ${adapter.name} takes no reports.`
    problems.warn(settings.reportTimeout, 'ignored-field', message)
  }
  return {
    timeoutMs: timeoutMs ?? adapter.timeouts?.checkMs ?? options.defaultTimeoutMs,
    // Where reports are all that the adapter takes, there is nothing else that a timeout could be for.
    reportTimeoutMs:
      reportTimeoutMs ??
      (onlyReports ? timeoutMs : undefined) ??
      adapter.timeouts?.reportMs ??
      options.defaultReportTimeoutMs,
    staleIfErrorMs:
      read(settings.staleIfError, STALE_BOUNDS) ?? adapter.staleIfErrorMs ?? (onlyQuotas ? 0 : DEFAULT_STALE_FOR_MS),
    staleWhileRevalidateMs: read(settings.staleWhileRevalidate, STALE_BOUNDS) ?? 0,
    maxDenyValidForMs: read(settings.maxDenyValidFor, STALE_BOUNDS),
  }
}

function validate(adapter: AnyAdapter, params: unknown) {
  try {
    return adapter.validate?.(params) ?? []
  } catch (error) {
    return [{ path: [], message: `the adapter cannot read the params: ${String(error)}` }]
  }
}
