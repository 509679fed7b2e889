// The layer rules of the design as data: which folder may import which, and who may import which package.
import type { IForbiddenRuleType } from 'dependency-cruiser'

const CONTRACTS = ['kernel', 'expression', 'wire', 'adapter-kit']
const ANSWERING = ['policy', 'cache', 'quota', 'telemetry', 'rollout']
const FRONT = ['server', 'dashboard']

/** Folder of `src` → the other folders of `src` whose files it may import. Folders that are not listed may import all. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  kernel: [],
  expression: ['kernel'],
  wire: ['kernel'],
  'adapter-kit': ['kernel', 'expression'],
  adapters: ['kernel', 'adapter-kit'],
  redis: ['kernel', 'adapter-kit'],
  tls: ['kernel'],
  observe: ['kernel', 'tls'],
  config: CONTRACTS,
  settings: ['kernel', 'expression', 'wire', 'config', 'redis', 'observe', 'tls'],
  client: ['kernel', 'expression', 'wire', 'cache'],
  sidecar: ['kernel', 'wire', 'client', 'server', 'observe'],
  process: ['kernel', 'redis', 'observe', 'settings', 'compose', 'tls'],
  ...Object.fromEntries(ANSWERING.map((folder) => [folder, [...CONTRACTS, 'config', 'redis', ...ANSWERING]])),
  ...Object.fromEntries(
    FRONT.map((folder) => [folder, [...CONTRACTS, 'config', 'redis', 'observe', 'tls', ...ANSWERING, ...FRONT]]),
  ),
}

/** Where the sources of the filter are, in AssemblyScript. */
export const FILTER = 'filter/assembly'

const OF_REQUESTS = ['host', 'bytes', 'wire', 'request']

/** The same of the rooms of `filter/assembly`. */
const FILTER_MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  host: [],
  bytes: ['host'],
  shared: ['host', 'bytes'],
  wire: ['host', 'bytes'],
  request: ['host', 'bytes', 'wire'],
  shape: OF_REQUESTS,
  cache: [...OF_REQUESTS, 'shape'],
  node: [...OF_REQUESTS, 'shape', 'cache'],
  telemetry: [...OF_REQUESTS, 'shared'],
}

/** Package → the only folders whose files may import it, or files. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  ioredis: ['src/redis'],
  bullmq: ['src/telemetry', 'workers'],
  fastify: ['src/server', 'src/observe', 'src/client/library/fastify.ts'],
  '@grpc/grpc-js': ['src/server', 'src/sidecar', 'src/client/library/grpc-js.ts', 'src/client/library/grpc'],
  'prom-client': ['src/observe'],
}

function importsPointDown(root: string, folder: string, allowed: readonly string[]): IForbiddenRuleType {
  const reachable = [folder, ...allowed].join('|')
  return {
    name: `${root === 'src' ? '' : 'filter-'}${folder}-imports-down`,
    severity: 'error',
    comment: `${root}/${folder} imports only ${allowed.length === 0 ? 'itself' : allowed.join(', ')}`,
    from: { path: `^${root}/${folder}/` },
    to: { path: `^${root}/`, pathNot: `^${root}/(${reachable})/` },
  }
}

function packageHasOwners(name: string, owners: readonly string[]): IForbiddenRuleType {
  return {
    name: `${name.replace(/^@.*\//, '')}-has-owners`,
    severity: 'error',
    comment: `only ${owners.join(' and ')} import ${name}`,
    from: { path: '^(src|workers)/', pathNot: `^(${owners.join('|')})(/|$)` },
    to: { path: `(^|/)node_modules/${name}/` },
  }
}

const SHAPE_RULES: readonly IForbiddenRuleType[] = [
  {
    name: 'no-cycles',
    severity: 'error',
    comment: 'files that import each other cannot be understood or tested alone',
    from: {},
    to: { circular: true },
  },
  {
    name: 'adapters-stand-alone',
    severity: 'error',
    comment: 'an adapter never imports another adapter nor the catalogue',
    from: { path: '^src/adapters/([^/]+)/' },
    to: { path: '^src/adapters/', pathNot: '^src/adapters/$1/' },
  },
  {
    name: 'product-without-tests',
    severity: 'error',
    comment: 'the product never imports tests or load tools',
    from: { path: '^(src|workers)/' },
    to: { path: '^(test|load)/' },
  },
  {
    name: 'filter-stands-alone',
    severity: 'error',
    comment: 'what is compiled for another machine imports nothing of this one, and nothing here imports it',
    from: { path: `^${FILTER}/` },
    to: { pathNot: `^${FILTER}/` },
  },
  {
    name: 'nobody-imports-the-filter',
    severity: 'error',
    comment: 'the filter is a module of WebAssembly, which programs load from a file',
    from: { pathNot: `^${FILTER}/` },
    to: { path: `^${FILTER}/` },
  },
  {
    name: 'workers-only-from-the-root',
    severity: 'error',
    comment: 'only the composition root imports workers',
    from: { path: '^src/', pathNot: '^src/compose/' },
    to: { path: '^workers/' },
  },
  {
    name: 'root-is-on-top',
    severity: 'error',
    comment: 'only the command imports the composition root, and what runs a process; nothing imports the command',
    from: { path: '^(src|workers)/', pathNot: '^src/(main\\.ts$|compose/|cli/|process/)' },
    to: { path: '^src/(main\\.ts$|compose/|cli/|process/)' },
  },
  {
    name: 'composition-knows-no-command',
    severity: 'error',
    comment: 'parts are put together from settings, whoever read them: a command, a test, another program',
    from: { path: '^src/compose/' },
    to: { path: '^src/(cli|process)/' },
  },
  {
    name: 'metrics-have-one-catalogue',
    severity: 'error',
    comment: 'a metric is an entry of src/kernel/metrics: only there, and by adapters of others, are metrics defined',
    from: { path: '^(src|workers|load)/', pathNot: '^src/(kernel/metrics/|adapter-kit/index\\.ts$)' },
    to: { path: '^src/(kernel/metrics/define|adapter-kit/index)\\.ts$' },
  },
  {
    name: 'settings-belong-to-the-top',
    severity: 'error',
    comment: 'a part takes what it needs as arguments: only what composes and runs processes knows settings',
    from: { path: '^(src|workers)/', pathNot: '^src/(main\\.ts$|compose/|cli/|process/|settings/)' },
    to: { path: '^src/settings/' },
  },
  {
    name: 'doors-know-no-transport',
    severity: 'error',
    comment: 'gRPC doors are services of bytes: only its host imports grpc-js',
    from: { path: '^src/server/', pathNot: '^src/server/grpc-js/' },
    to: { path: '(^|/)node_modules/@grpc/grpc-js/' },
  },
  {
    name: 'templates-are-a-registry',
    severity: 'error',
    comment: 'templates are known by their definitions: only the registry imports one, and adapters that take it',
    from: { path: '^(src|workers)/', pathNot: '^src/(adapter-kit/templates|adapters/)' },
    to: { path: '^src/adapter-kit/templates/' },
  },
  {
    name: 'imports-resolve',
    severity: 'error',
    comment: 'what cannot be resolved cannot be checked',
    from: {},
    to: { couldNotResolve: true },
  },
]

/** All rules, in the form that dependency-cruiser takes. */
export const LAYER_RULES: readonly IForbiddenRuleType[] = [
  ...Object.entries(MAY_IMPORT).map(([folder, allowed]) => importsPointDown('src', folder, allowed)),
  ...Object.entries(FILTER_MAY_IMPORT).map(([folder, allowed]) => importsPointDown(FILTER, folder, allowed)),
  ...Object.entries(OWNERS).map(([name, owners]) => packageHasOwners(name, owners)),
  ...SHAPE_RULES,
]
