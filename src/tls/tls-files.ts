// The files of a listener's TLS: read as they are, and checked before anything is served by them.

import { IntermixError, messageOf } from '../kernel/errors.ts'
import { files, tls } from '../kernel/late-modules.ts'
import type { TLS_LOADS_TOTAL } from '../kernel/metrics/tls.ts'
import { isKeyOf, readCertificates, readPrivateKey } from '../kernel/pem.ts'

/** What listens, as its flags call it: those of `http` begin with `--http-tls-`. */
export type Listener = (typeof TLS_LOADS_TOTAL)['labels']['listener'][number]

/** Files in PEM, which are read again when they change, and who may call by them. */
export interface TlsFiles {
  /** The certificate, and those that lead from it to the authority. */
  readonly cert: string
  readonly key: string
  /** Who may call: only clients with a certificate of these authorities. */
  readonly clientCa?: string | undefined
  /** Which of those: with one of these SPIFFE ids or DNS names; `*` at the end of one stands for the rest. Default: all. */
  readonly clientNames?: readonly string[] | undefined
}

/** The contents of the files. */
export interface PemContext {
  readonly cert: string
  readonly key: string
  readonly ca?: string
}

/** What files hold, or all that is wrong with them, by flag. */
type ReadFiles = { readonly context: PemContext } | { readonly problems: readonly string[] }

/** @throws IntermixError INVALID_SETTING that names all problems, where files cannot be read or do not fit together */
export async function loadTlsFiles(listener: Listener, paths: TlsFiles): Promise<PemContext> {
  const read = await readTlsFiles(listener, paths)
  if ('problems' in read) throw new IntermixError('INVALID_SETTING', read.problems.join('\n'))
  return read.context
}

/** Reads the files of a listener. */
export async function readTlsFiles(listener: Listener, { cert, key, clientCa }: TlsFiles): Promise<ReadFiles> {
  const problems: string[] = []
  const read = async (part: string, path: string, check: (pem: string) => unknown): Promise<string> => {
    const flag = `--${listener}-tls-${part}`
    let pem = ''
    try {
      pem = await files().readFile(path, 'utf8')
    } catch (caught) {
      problems.push(`${flag}: cannot be read: ${messageOf(caught)}`)
      return pem
    }
    try {
      check(pem)
    } catch (caught) {
      problems.push(`${flag}: ${path} cannot be used: ${messageOf(caught)}`)
    }
    return pem
  }
  // A file that is being written may be empty or cut off: TLS would take that for no certificate, and an authority that is not
  // there for all that the world trusts.
  const context: PemContext = {
    cert: await read('cert', cert, readCertificates),
    key: await read('key', key, readPrivateKey),
    ...(clientCa !== undefined && { ca: await read('client-ca', clientCa, readCertificates) }),
  }
  if (problems.length === 0) problems.push(...misfits(listener, context, { cert, key }))
  return problems.length > 0 ? { problems } : { context }
}

/** What is wrong with files that can be read one by one. */
function misfits(listener: Listener, context: PemContext, { cert, key }: TlsFiles): readonly string[] {
  if (!isKeyOf(context.key, context.cert)) {
    return [
      `--${listener}-tls-key: ${key} is not the key of the first certificate in ${cert}; give the one that belongs to it`,
    ]
  }
  try {
    tls().createSecureContext(context)
    return []
  } catch (caught) {
    return [`--${listener}-tls-cert: ${cert} and ${key} cannot be used for TLS: ${messageOf(caught)}`]
  }
}

export function sameContext(a: PemContext, b: PemContext): boolean {
  return a.cert === b.cert && a.key === b.key && a.ca === b.ca
}
