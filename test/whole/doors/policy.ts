// The policy of the differential, twice: as a config for Intermix, and as a function that knows nothing of Intermix.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A request as some program on its way may understand it. */
export interface Reading {
  readonly method: string
  /** Decoded and without its query. */
  readonly path: string
  readonly query: string
  readonly host: string
  /** By name in lower case; lists joined. */
  readonly headers: ReadonlyMap<string, string>
}

interface Denial {
  readonly match: string
  readonly denies: (reading: Reading) => boolean
}

const DENIALS: Readonly<Record<string, Denial>> = {
  equal: { match: 'request.url_path == "/closed"', denies: ({ path }) => path === '/closed' },
  prefix: { match: 'request.path.startsWith("/admin")', denies: ({ path }) => path.startsWith('/admin') },
  colon: { match: 'request.url_path == "/v1/users:purge"', denies: ({ path }) => path === '/v1/users:purge' },
  regex: {
    match: 'request.url_path.matches("^/v[0-9]+/secret(/|$)")',
    denies: ({ path }) => /^\/v[0-9]+\/secret(\/|$)/.test(path),
  },
  host: { match: 'request.host == "private.example"', denies: ({ host }) => host === 'private.example' },
  hostHeader: {
    match: '"host" in request.headers && request.headers["host"] == "odd.example"',
    denies: ({ host }) => host === 'odd.example',
  },
  method: { match: 'request.method == "DELETE"', denies: ({ method }) => method === 'DELETE' },
  query: {
    match: '"debug" in request.query_params && request.query_params["debug"] == "1"',
    denies: ({ query }) => debugsOf(query).includes('1'),
  },
  presence: { match: '"x-blocked" in request.headers', denies: ({ headers }) => headers.has('x-blocked') },
  role: {
    match: '"x-role" in request.headers && request.headers["x-role"] == "guest"',
    denies: ({ headers }) => headers.get('x-role') === 'guest',
  },
  name: {
    match: '"x-name" in request.headers && request.headers["x-name"] == "Zoë"',
    denies: ({ headers }) => headers.get('x-name') === 'Zoë',
  },
  token: {
    match: '"authorization" in request.headers && request.headers["authorization"] == "Bearer revoked"',
    denies: ({ headers }) => headers.get('authorization') === 'Bearer revoked',
  },
}

/** Every value that some server takes for the parameter's: the first, the last, one behind a semicolon, or up to it. */
function debugsOf(query: string): string[] {
  return [query, query.replaceAll(';', '&')].flatMap((read) => new URLSearchParams(read).getAll('debug'))
}

/** The name of the rule that denies a request understood in this way. */
export function denialOf(reading: Reading): string | undefined {
  return Object.entries(DENIALS).find(([, { denies }]) => denies(reading))?.[0]
}

const ATTRIBUTES = {
  'request.path': 'STRING',
  'request.url_path': 'STRING',
  'request.query_params': 'STRING_MAP',
  'request.host': 'STRING',
  'request.method': 'STRING',
  'request.scheme': 'STRING',
  'request.headers': 'STRING_MAP',
  'destination.service.name': 'STRING',
}

/** Writes the config into a folder of its own. */
export async function writeDoorsPolicy(): Promise<{ directory: string; remove(): Promise<void> }> {
  const attributes = Object.fromEntries(Object.entries(ATTRIBUTES).map(([name, valueType]) => [name, { valueType }]))
  const documents = [
    document('attributemanifest', 'vocabulary', { attributes }),
    ...Object.entries(DENIALS).map(([name, { match }]) =>
      document('rule', name.toLowerCase(), {
        match,
        actions: [
          {
            handler: { adapter: 'denier', params: { status: { code: 'PERMISSION_DENIED', message: name } } },
            instances: [{ template: 'checknothing' }],
          },
        ],
      }),
    ),
  ]
  const directory = await mkdtemp(join(tmpdir(), 'intermix-doors-'))
  await writeFile(join(directory, 'policy.yaml'), documents.join('---\n'))
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) }
}

/** JSON is YAML. */
function document(kind: string, name: string, spec: object): string {
  return `${JSON.stringify({ apiVersion: 'intermix.dev/v1', kind, metadata: { name }, spec }, null, 2)}\n`
}
