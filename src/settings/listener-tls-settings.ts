// TLS of the listeners: its settings, what is wrong with them, and the files that they name.

import type { Listener, TlsFiles } from '../tls/tls-files.ts'
import { missingHalf } from './certificate-pair.ts'
import type { Address } from './option-kinds.ts'
import { DRAINING, ROLES, SERVING, type Role, type SettingSpec } from './setting-spec.ts'

const ROLES_OF: Readonly<Record<Listener, readonly Role[]>> = {
  grpc: SERVING,
  http: SERVING,
  admin: ROLES,
  prometheus: DRAINING,
}

interface TlsWords {
  /** What the certificate is for. */
  readonly for: string
  /** What clients with a certificate of the authorities may do, and no others. */
  readonly may: string
}

type FileSetting = SettingSpec & { readonly kind: 'path' }
type NamesSetting = SettingSpec & { readonly kind: 'list'; readonly default: readonly string[] }
type TlsSettings<L extends Listener> = {
  readonly [K in `${L}Tls${'Cert' | 'Key' | 'ClientCa'}`]: FileSetting
} & { readonly [K in `${L}TlsClientNames`]: NamesSetting }

/** The settings of one listener: those of `http` are `--http-tls-cert` and so on. */
function tlsSettings<L extends Listener>(listener: L, { for: purpose, may }: TlsWords): TlsSettings<L> {
  const common = { group: 'Listeners', roles: ROLES_OF[listener] }
  const file = (description: string, defaultText: string): FileSetting => {
    return { kind: 'path', placeholder: 'FILE', description, defaultText, ...common }
  }
  const names: NamesSetting = {
    kind: 'list',
    default: [],
    placeholder: 'NAME,…',
    description:
      'Of those, only clients with one of these SPIFFE ids or DNS names; * at the end of one stands for the rest.',
    defaultText: 'all of those',
    ...common,
  }
  const settings: Record<string, SettingSpec> = {
    [`${listener}TlsCert`]: file(
      `Certificate for ${purpose}, with its chain, in PEM; read again when it changes.`,
      'no TLS',
    ),
    [`${listener}TlsKey`]: file(`Key of the certificate for ${purpose}, in PEM.`, 'no TLS'),
    [`${listener}TlsClientCa`]: file(
      `Authorities in PEM: only clients with a certificate of theirs ${may}.`,
      'any client',
    ),
    [`${listener}TlsClientNames`]: names,
  }
  return settings as TlsSettings<L>
}

export const GRPC_TLS_SETTINGS = tlsSettings('grpc', { for: 'gRPC', may: 'may call over gRPC (mTLS)' })

export const HTTP_TLS_SETTINGS = tlsSettings('http', { for: 'the HTTP listener', may: 'may call over HTTP (mTLS)' })

export const ADMIN_TLS_SETTINGS = {
  ...tlsSettings('admin', {
    for: 'the admin port',
    may: 'are answered at the admin port (mTLS), but for /healthz and /readyz',
  }),
  adminInsecure: {
    kind: 'boolean',
    default: false,
    description:
      'Let the admin port listen where other machines may reach it, without client certificates: whoever reaches it reads the config and voids verdicts.',
    group: 'Listeners',
    roles: ROLES,
  },
} as const satisfies Readonly<Record<string, SettingSpec>>

export const PROMETHEUS_TLS_SETTINGS = tlsSettings('prometheus', {
  for: 'the metrics of reports',
  may: 'may scrape the metrics of reports (mTLS)',
})

const LISTENERS = Object.keys(ROLES_OF) as Listener[]

type TlsValues = { readonly [K in `${Listener}Tls${'Cert' | 'Key' | 'ClientCa'}`]?: string | undefined } & {
  readonly [K in `${Listener}TlsClientNames`]?: readonly string[] | undefined
}

/** Undefined where they could not be read: that is a problem already. */
type ListenerValues = TlsValues & {
  readonly transport?: string
  readonly grpcAddress?: Address
  readonly httpAddress?: Address
  readonly adminAddress?: Address
  readonly adminInsecure?: boolean
}

/** The files of a listener's TLS; `undefined` where it has none. */
export function tlsFilesOf(values: TlsValues, listener: Listener): TlsFiles | undefined {
  const { cert, key, clientCa, clientNames } = partsOf(values, listener)
  return cert === undefined || key === undefined ? undefined : { cert, key, clientCa, clientNames }
}

/** The files of all listeners that have TLS. */
export function allTlsFiles(values: TlsValues): readonly (readonly [listener: Listener, files: TlsFiles])[] {
  return LISTENERS.flatMap((listener) => {
    const files = tlsFilesOf(values, listener)
    return files === undefined ? [] : [[listener, files] as const]
  })
}

/** What is wrong with the settings of a role for TLS, by flag. */
export function listenerTlsProblems(role: Role, values: ListenerValues): readonly string[] {
  const own = LISTENERS.filter((listener) => ROLES_OF[listener].includes(role))
  return [
    ...own.flatMap((listener) => missingParts(values, listener)),
    ...(SERVING.includes(role) ? doorProblems(values) : []),
    ...openAdmin(values),
  ]
}

function doorProblems(values: ListenerValues): readonly string[] {
  const { transport, grpcAddress, httpAddress } = values
  const problems: string[] = []
  if (transport === 'grpc-js' && grpcAddress?.path !== undefined)
    problems.push('--grpc-address: grpc-js listens at no Unix socket here; give --transport native, or HOST:PORT')
  if (transport === 'grpc-js' && tlsFilesOf(values, 'grpc') !== undefined)
    problems.push('--grpc-tls-cert: grpc-js speaks no TLS here; give --transport native')
  if (httpAddress?.path !== undefined && tlsFilesOf(values, 'http') !== undefined)
    problems.push('--http-tls-cert: a Unix socket has no use for TLS; leave it out, or give --http-address HOST:PORT')
  return problems
}

function missingParts(values: TlsValues, listener: Listener): string[] {
  const { cert, key, clientCa, clientNames } = partsOf(values, listener)
  const flag = `--${listener}-tls`
  const named = clientNames.length > 0 && clientCa === undefined
  return [
    ...(named
      ? [`${flag}-client-names: needs ${flag}-client-ca, the authorities that clients have their names from`]
      : []),
    ...missingFiles(flag, cert, key, clientCa),
  ]
}

function missingFiles(flag: string, cert?: string, key?: string, clientCa?: string): readonly string[] {
  if (cert === undefined && key === undefined)
    return clientCa === undefined ? [] : [`${flag}-client-ca: needs ${flag}-cert and ${flag}-key; give both`]
  return missingHalf(flag, cert, key)
}

/** Whoever reaches the admin port is an operator, unless certificates say who is one. */
function openAdmin({ adminAddress, adminInsecure, ...values }: ListenerValues): readonly string[] {
  if (adminAddress === undefined || adminInsecure === true || isLoopback(adminAddress.host)) return []
  if (tlsFilesOf(values, 'admin')?.clientCa !== undefined) return []
  return [
    `--admin-address: ${adminAddress.host} can be reached by other machines, and whoever reaches the admin port reads the config and voids verdicts; give --admin-tls-cert, --admin-tls-key and --admin-tls-client-ca, listen on 127.0.0.1, or say --admin-insecure on where the network keeps others out`,
  ]
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^(::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

function partsOf(values: TlsValues, listener: Listener) {
  return {
    cert: values[`${listener}TlsCert`],
    key: values[`${listener}TlsKey`],
    clientCa: values[`${listener}TlsClientCa`],
    clientNames: values[`${listener}TlsClientNames`] ?? [],
  }
}
