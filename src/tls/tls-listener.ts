// TLS for a listener, with certificates that are taken into use when their files change.

import type { Socket } from 'node:net'
import type { Server, TLSSocket, TlsOptions } from 'node:tls'
import { messageOf } from '../kernel/errors.ts'
import { TLS_CERTIFICATE_END_SECONDS, TLS_LOADS_TOTAL } from '../kernel/metrics/tls.ts'
import { readCertificates } from '../kernel/pem.ts'
import type { Clock, Logger, Meter } from '../kernel/ports.ts'
import { certificateOf, hasName } from './client-certificate.ts'
import { Handshakes } from './handshakes.ts'
import { type Listener, loadTlsFiles, type PemContext, sameContext, type TlsFiles } from './tls-files.ts'

const HANDSHAKE_MS = 10_000
/** How often the files are read: by content, since what mounts them replaces links. */
const LOOK_MS = 10_000
/** Handshakes at once; one costs some 65 kB. */
const MAX_HANDSHAKES = 2_048
const MIN_VERSION = 'TLSv1.2'

export interface TlsListenerOptions {
  readonly listener: Listener
  readonly files: TlsFiles
  /**
   * Whether clients without a certificate come in where `files.clientCa` is set, and whoever answers them looks at
   * `letsIn`. Default: they do not.
   */
  readonly admitUnproven?: boolean
  /** How long a handshake may take, in ms. Default 10 s. */
  readonly handshakeMs?: number
  /** Handshakes at once. Default 2,048. */
  readonly maxHandshakes?: number
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** Called for each connection to which no TLS came about. */
  readonly onRefused?: () => void
}

/** TLS 1.2 and later for the servers that listen for one listener. */
export class TlsListener {
  /** To create servers with, which are then to be attached; they have certificates from `start` on. */
  readonly serverOptions: TlsOptions
  readonly #options: TlsListenerOptions
  readonly #servers = new Set<Server>()
  readonly #handshakes: Handshakes
  #current: PemContext | undefined
  #failed = ''
  #cancel = () => {}
  #stopped = false

  constructor(options: TlsListenerOptions) {
    const { files, admitUnproven = false, handshakeMs = HANDSHAKE_MS, maxHandshakes = MAX_HANDSHAKES } = options
    const mutual = files.clientCa !== undefined
    this.#options = options
    this.#handshakes = new Handshakes({ ...options, max: maxHandshakes })
    this.serverOptions = {
      minVersion: MIN_VERSION,
      handshakeTimeout: handshakeMs,
      requestCert: mutual,
      rejectUnauthorized: mutual && !admitUnproven,
      noDelay: true,
    }
  }

  /** Whether a client may ask: where authorities are set, it needs a certificate of theirs, with a name that is let in. */
  letsIn(socket: Socket): boolean {
    const { clientCa, clientNames = [] } = this.#options.files
    if (clientCa === undefined) return true
    const certificate = certificateOf(socket)
    return certificate !== undefined && (clientNames.length === 0 || hasName(certificate, clientNames))
  }

  attach(server: Server): void {
    this.#servers.add(server)
    this.#handshakes.watch(server)
    // Before anybody takes it.
    if (this.#options.admitUnproven !== true) server.prependListener('secureConnection', this.#refuseOthers)
    if (this.#current !== undefined) apply(server, this.#current)
  }

  /**
   * Gives the servers their certificates, and new ones from now on whenever the files change. To be awaited before they listen.
   * @throws IntermixError INVALID_SETTING that names all problems, where files cannot be read or do not fit together
   */
  async start(): Promise<void> {
    this.#use(await loadTlsFiles(this.#options.listener, this.#options.files))
    this.#lookLater()
  }

  /** Ends what has no TLS yet, as far as it can be told. */
  endHandshakes(): void {
    this.#handshakes.end()
  }

  /** Ends all connections, at Unix sockets too, where those without TLS cannot be told from others. */
  endConnections(): void {
    this.#handshakes.endAll()
  }

  /** Looks at the files no more. */
  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  readonly #refuseOthers = (socket: TLSSocket): void => {
    if (this.letsIn(socket)) return
    this.#handshakes.refuse('name', socket, 'its certificate has no name that is let in')
    socket.destroy()
  }

  #lookLater(): void {
    if (!this.#stopped) this.#cancel = this.#options.clock.after(LOOK_MS, () => void this.#look())
  }

  async #look(): Promise<void> {
    const { listener, files, log, meter } = this.#options
    const loads = meter.counter(TLS_LOADS_TOTAL)
    try {
      const read = await loadTlsFiles(listener, files)
      if (this.#current === undefined || !sameContext(read, this.#current)) {
        this.#use(read)
        loads({ listener, outcome: 'applied' }).add()
        log.info({ listener, cert: files.cert }, 'new certificates are in use')
      }
      this.#failed = ''
    } catch (caught) {
      const reason = messageOf(caught)
      // Files that stay as they are stay one failure.
      if (reason !== this.#failed) {
        this.#failed = reason
        loads({ listener, outcome: 'failed' }).add()
        log.error({ listener, reason }, 'changed certificates cannot be used; the last good ones serve on')
      }
    } finally {
      this.#lookLater()
    }
  }

  #use(context: PemContext): void {
    const { listener, files, clock, log, meter } = this.#options
    for (const server of this.#servers) apply(server, context)
    this.#current = context
    const endMs = Date.parse(readCertificates(context.cert)[0]?.validTo ?? '')
    meter
      .gauge(TLS_CERTIFICATE_END_SECONDS)({ listener })
      .set(endMs / 1_000)
    if (endMs <= clock.now())
      log.warn({ listener, cert: files.cert }, 'the certificate has expired: clients that look refuse it')
  }
}

function apply(server: Server, context: PemContext): void {
  // What is not said anew goes back to the default.
  server.setSecureContext({ ...context, minVersion: MIN_VERSION })
}
