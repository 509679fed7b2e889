// A policy that changes while requests come: what it answers to each of them, worked out without Intermix.

/** What an answer may be at one time. */
export interface Moment {
  /** Of the config: odd ones close `/odd`, even ones `/even`. */
  readonly version: number
  /** Of the backend's mind about users. */
  readonly epoch: number
}

export interface Asked {
  readonly path: string
  readonly user: string
}

const USERS = 6
/** Of an answer: more than there are requests. */
const USES = 1_000_000_000

/** All that is asked for: each path, where it counts with each user. */
export const REQUESTS: readonly Asked[] = [
  ...['/open', '/closed/by/path', '/odd?a=1', '/even'].map((path) => ({ path, user: 'user-0' })),
  ...Array.from({ length: USERS }, (_, user) => ({ path: '/entitled', user: `user-${user}` })),
]

export function allowed({ path, user }: Asked, { version, epoch }: Moment): boolean {
  if (path.startsWith('/closed')) return false
  if (path.startsWith('/odd')) return version % 2 === 0
  if (path.startsWith('/even')) return version % 2 === 1
  return !path.startsWith('/entitled') || entitled(user, epoch)
}

/** What the backend says. */
export function entitled(user: string, epoch: number): boolean {
  return (Number(user.slice('user-'.length)) + epoch) % 2 === 0
}

/** @param backendUrl it is told the user */
export function configOf(version: number, backendUrl: string): string {
  return [
    object('attributemanifest', 'words', {
      attributes: { 'request.path': { valueType: 'STRING' }, 'request.headers': { valueType: 'STRING_MAP' } },
    }),
    denial('closed', 'request.path.startsWith("/closed")'),
    denial('flip', `request.path.startsWith("${version % 2 === 1 ? '/odd' : '/even'}")`),
    object('handler', 'entitlements', {
      adapter: 'http',
      params: { url: `${backendUrl}/check`, validUseCount: USES },
      timeout: '5s',
      staleIfError: '600s',
    }),
    object('rule', 'entitled', {
      match: 'request.path.startsWith("/entitled")',
      actions: [
        {
          handler: 'entitlements',
          instances: [{ template: 'listentry', params: { value: 'request.headers["x-user"]' } }],
        },
      ],
    }),
  ].join('---\n')
}

function denial(name: string, match: string): string {
  const params = { status: { code: 'PERMISSION_DENIED', message: name }, validDuration: '600s', validUseCount: USES }
  const handler = { adapter: 'denier', params }
  return object('rule', name, { match, actions: [{ handler, instances: [{ template: 'checknothing' }] }] })
}

/** JSON is YAML. */
function object(kind: string, name: string, spec: object): string {
  return `${JSON.stringify({ apiVersion: 'intermix.dev/v1', kind, metadata: { name }, spec }, null, 2)}\n`
}
