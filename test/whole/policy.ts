// The policy of the end-to-end tests: a config that has something of everything, and what it must answer to a request.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A request as a client of the mesh makes it. */
export interface Asked {
  readonly path: string
  readonly user: string
}

/** Users 0 to 49 are members. */
const MEMBERS = 50

/** Calls of `/limited` that each user has. */
export const CALLS = 3

/** The HTTP status that a client must get, worked out without Intermix. */
export function expectedStatus({ path, user }: Asked): number {
  if (path.startsWith('/closed')) return 403
  if (path.startsWith('/login')) return 401
  if (path.startsWith('/busy')) return 429
  if (path.startsWith('/away')) return 503
  if (path.startsWith('/members')) return Number(user.slice('user-'.length)) < MEMBERS ? 200 : 403
  if (path.startsWith('/entitled')) return entitled(user) ? 200 : 403
  return 200
}

/** What the HTTP policy backend of the tests decides. */
export function entitled(user: string): boolean {
  return Number(user.slice('user-'.length)) % 3 !== 0
}

const PATHS = ['/open', '/closed', '/members', '/entitled', '/login', '/busy', '/away', '/open/deep']

/** `count` requests that mix all paths and 100 users, always the same. */
export function mixedRequests(count: number): Asked[] {
  return Array.from({ length: count }, (_, i) => ({
    path: `${PATHS[i % PATHS.length] ?? '/'}?i=${i}`,
    user: `user-${(i * 37) % 100}`,
  }))
}

/** Writes the config into a folder of its own. */
export async function writePolicy(backendUrl: string): Promise<{ directory: string; remove(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'intermix-policy-'))
  await writeFile(join(directory, 'policy.yaml'), policyYaml(backendUrl))
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) }
}

interface Document {
  readonly kind: string
  readonly name: string
  readonly spec: object
}

function policyYaml(backendUrl: string): string {
  const members = Array.from({ length: MEMBERS }, (_, i) => `user-${i}`)
  return [
    manifest(),
    ...denial('closed', 'PERMISSION_DENIED', '/closed*'),
    ...denial('login', 'UNAUTHENTICATED', '/login*'),
    ...denial('busy', 'RESOURCE_EXHAUSTED', '/busy*'),
    ...denial('away', 'UNAVAILABLE', '/away*'),
    handler('members', 'listchecker', { overrides: members }),
    instance('user', 'listentry', { value: USER }),
    rule('members', 'match(request.path, "/members*")', [['members', 'user']]),
    // A backend that shares its process with the load may be late.
    handler(
      'entitlements',
      'http',
      { url: `${backendUrl}/check`, validDuration: '300s' },
      { connection: { timeout: '5s' } },
    ),
    rule('entitled', 'match(request.path, "/entitled*")', [['entitlements', 'user']]),
    handler('metrics', 'prometheus', {
      metrics: [
        {
          name: 'requests_total',
          instanceName: 'requestcount.instance.istio-system',
          kind: 'COUNTER',
          labelNames: ['code'],
        },
      ],
    }),
    instance('requestcount', 'metric', { value: '1', dimensions: { code: 'response.code | 0' } }),
    handler('limits', 'quota', { quotas: [{ name: 'calls', limits: [{ maxAmount: CALLS, calendar: 'year' }] }] }),
    instance('calls', 'quota', { dimensions: { user: USER } }),
    rule('limited', 'match(request.path, "/limited*")', [['limits', 'calls']]),
    rule('metrics', undefined, [['metrics', 'requestcount']]),
  ]
    .map((document) => render(document))
    .join('---\n')
}

const USER = 'request.headers["x-user"] | "nobody"'

function manifest(): Document {
  const attributes = {
    'request.path': 'STRING',
    'request.headers': 'STRING_MAP',
    'response.code': 'INT64',
    'destination.service.name': 'STRING',
  }
  const typed = Object.entries(attributes).map(([name, valueType]) => [name, { valueType }])
  return { kind: 'attributemanifest', name: 'proxy', spec: { attributes: Object.fromEntries(typed) } }
}

function denial(name: string, code: string, pattern: string): Document[] {
  return [
    handler(name, 'denier', { status: { code, message: `${name} to you` }, validDuration: '60s' }),
    instance(name, 'checknothing', {}),
    rule(name, `match(request.path, "${pattern}")`, [[name, name]]),
  ]
}

function handler(name: string, compiledAdapter: string, params: object, settings: object = {}): Document {
  return { kind: 'handler', name, spec: { compiledAdapter, params, ...settings } }
}

function instance(name: string, compiledTemplate: string, params: object): Document {
  return { kind: 'instance', name, spec: { compiledTemplate, params } }
}

function rule(name: string, match: string | undefined, actions: readonly (readonly [string, string])[]): Document {
  const listed = actions.map(([handlerName, instanceName]) => ({ handler: handlerName, instances: [instanceName] }))
  return { kind: 'rule', name, spec: { ...(match === undefined ? {} : { match }), actions: listed } }
}

/** JSON is YAML. */
function render({ kind, name, spec }: Document): string {
  const metadata = { name, namespace: 'istio-system' }
  return `${JSON.stringify({ apiVersion: 'config.istio.io/v1alpha2', kind, metadata, spec }, null, 2)}\n`
}
