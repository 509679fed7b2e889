// TLS for the native server, with certificates that are taken into use when their files change.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { createSecureContext, createServer, type Server } from 'node:tls'
import { IntermixError } from '../../kernel/errors.ts'
import { GRPC_TLS_LOADS_TOTAL } from '../../kernel/metrics/grpc.ts'
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
  files: TlsFiles,
  ports: Ports,
  take: (socket: Socket) => void,
): Promise<{ readonly server: Server; readonly stopWatch: () => void }> {
  const { clock, log } = ports
  const loads = ports.meter.counter(GRPC_TLS_LOADS_TOTAL)
  let current = await readContext(files)
  const server = createServer(
    {
      ...current,
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['h2'],
      handshakeTimeout: HANDSHAKE_MS,
      requestCert: files.clientCa !== undefined,
      rejectUnauthorized: files.clientCa !== undefined,
      noDelay: true,
    },
    take,
  )
  let failed = ''
  const look = async (): Promise<void> => {
    try {
      const read = await readContext(files)
      if (sameContext(read, current)) return
      server.setSecureContext(read)
      current = read
      failed = ''
      loads({ outcome: 'applied' }).add()
      log.info({ cert: files.cert }, 'new certificates are in use')
    } catch (caught) {
      const reason = String(caught)
      // Files that stay as they are stay one failure.
      if (reason === failed) return
      failed = reason
      loads({ outcome: 'failed' }).add()
      log.error({ err: caught }, 'changed certificates cannot be used; the last good ones serve on')
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
  const context: PemContext = {
    cert: await readPem('certificate', cert),
    key: await readPem('key', key),
    ...(clientCa !== undefined && { ca: await readPem('client authority', clientCa) }),
  }
  try {
    // A file that is being written may be empty or cut off: TLS would take that for no certificate, and an authority that is not
    // there for all that the world trusts.
    readCertificates(context.cert)
    if (context.ca !== undefined) readCertificates(context.ca)
    createPrivateKey(context.key)
    createSecureContext(context)
  } catch (caught) {
    const reason = caught instanceof Error ? caught.message : String(caught)
    const where = [cert, key, ...(clientCa === undefined ? [] : [clientCa])].join(', ')
    throw new IntermixError('INVALID_SETTING', `${where}: not usable together for TLS: ${reason}`, { cause: caught })
  }
  return context
}

/** @throws Error where there is no certificate, or one that cannot be read. */
function readCertificates(pem: string): readonly X509Certificate[] {
  const blocks = pem.split(/(?=-----BEGIN )/).filter((block) => /^-----BEGIN (?:\w+ )?CERTIFICATE-----/.test(block))
  if (blocks.length === 0) throw new Error('there is no certificate')
  return blocks.map((block) => new X509Certificate(block))
}

async function readPem(what: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (caught) {
    const reason = caught instanceof Error ? caught.message : String(caught)
    throw new IntermixError('INVALID_SETTING', `the ${what} for TLS cannot be read: ${reason}`, { cause: caught })
  }
}

function sameContext(a: PemContext, b: PemContext): boolean {
  return a.cert === b.cert && a.key === b.key && a.ca === b.ca
}
