// TLS for the native server, with certificates that are taken into use when their files change.

import type { Socket } from 'node:net'
import type { Server } from 'node:tls'
import { IntermixError } from '../../kernel/errors.ts'
import { files, tls } from '../../kernel/late-modules.ts'
import { GRPC_TLS_LOADS_TOTAL } from '../../kernel/metrics/grpc.ts'
import { readCertificates, readPrivateKey } from '../../kernel/pem.ts'
import type { Clock, Logger, Meter } from '../../kernel/ports.ts'
import type { TlsFiles } from '../grpc-server.ts'

const HANDSHAKE_MS = 10_000
/** How often the files are read: by content, since what mounts them replaces links. */
const LOOK_MS = 10_000

interface Ports {
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

/**
 * A server for HTTP/2 over TLS 1.2 and later; `stopWatch` ends the watch over the files.
 * @throws IntermixError where the files cannot be read or do not fit together.
 */
export async function createTlsServer(
  paths: TlsFiles,
  ports: Ports,
  take: (socket: Socket) => void,
): Promise<{ readonly server: Server; readonly stopWatch: () => void }> {
  const { clock, log } = ports
  const loads = ports.meter.counter(GRPC_TLS_LOADS_TOTAL)
  let current = await readContext(paths)
  const server = tls().createServer(
    {
      ...current,
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['h2'],
      handshakeTimeout: HANDSHAKE_MS,
      requestCert: paths.clientCa !== undefined,
      rejectUnauthorized: paths.clientCa !== undefined,
      noDelay: true,
    },
    take,
  )
  let failed = ''
  const look = async (): Promise<void> => {
    try {
      const read = await readContext(paths)
      if (sameContext(read, current)) return
      server.setSecureContext(read)
      current = read
      failed = ''
      loads({ outcome: 'applied' }).add()
      log.info({ cert: paths.cert }, 'new certificates are in use')
    } catch (caught) {
      const reason = messageOf(caught)
      // Files that stay as they are stay one failure.
      if (reason === failed) return
      failed = reason
      loads({ outcome: 'failed' }).add()
      log.error({ reason }, 'changed certificates cannot be used; the last good ones serve on')
    }
  }
  let stopped = false
  let cancel = () => {}
  const again = () => {
    if (!stopped) cancel = clock.after(LOOK_MS, () => void look().finally(again))
  }
  again()
  return {
    server,
    stopWatch() {
      stopped = true
      cancel()
    },
  }
}

/** The contents of the files. */
interface PemContext {
  readonly cert: string
  readonly key: string
  readonly ca?: string
}

async function readContext({ cert, key, clientCa }: TlsFiles): Promise<PemContext> {
  const problems: string[] = []
  const read = async (flag: string, path: string, check: (pem: string) => unknown): Promise<string> => {
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
    cert: await read('--grpc-tls-cert', cert, readCertificates),
    key: await read('--grpc-tls-key', key, readPrivateKey),
    ...(clientCa !== undefined && { ca: await read('--grpc-tls-client-ca', clientCa, readCertificates) }),
  }
  if (problems.length === 0) problems.push(...misfits(context, { cert, key }))
  if (problems.length > 0) throw new IntermixError('INVALID_SETTING', problems.join('\n'))
  return context
}

/** What is wrong with files that can be read one by one. */
function misfits(context: PemContext, { cert, key }: TlsFiles): readonly string[] {
  if (readCertificates(context.cert)[0]?.checkPrivateKey(readPrivateKey(context.key)) === false) {
    return [
      `--grpc-tls-key: ${key} is not the key of the first certificate in ${cert}; give the one that belongs to it`,
    ]
  }
  try {
    tls().createSecureContext(context)
    return []
  } catch (caught) {
    return [`--grpc-tls-cert: ${cert} and ${key} cannot be used for TLS: ${messageOf(caught)}`]
  }
}

function messageOf(caught: unknown): string {
  return caught instanceof Error ? caught.message : String(caught)
}

function sameContext(a: PemContext, b: PemContext): boolean {
  return a.cert === b.cert && a.key === b.key && a.ca === b.ca
}
