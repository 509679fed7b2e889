// Connections on their way to TLS: bounded, and counted where nothing comes of them.

import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import { messageOf } from '../kernel/errors.ts'
import { TLS_HANDSHAKES_REFUSED_TOTAL } from '../kernel/metrics/tls.ts'
import type { LabelValue } from '../kernel/metrics/metric.ts'
import type { Clock, Logger, Meter } from '../kernel/ports.ts'
import type { Listener } from './tls-files.ts'

export interface HandshakesOptions {
  readonly listener: Listener
  /** Beyond so many at once the one gives way that has taken longest. */
  readonly max: number
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly onRefused?: () => void
}

type Reason = LabelValue<typeof TLS_HANDSHAKES_REFUSED_TOTAL, 'reason'>

/** How often those that were not let in leave a line; the metric has all of them. */
const LOG_MS = 10_000

export class Handshakes {
  readonly #options: HandshakesOptions
  /** By the address of the client; the oldest first. */
  readonly #underWay = new Map<string, Socket>()
  /** Those of a Unix socket, which have no address by which to tell that they have TLS by now: as long as they live. */
  readonly #nameless = new Set<Socket>()
  /** How many gave way of which it was not heard yet that they have ended. */
  #givenWay = 0
  #silentUntil = Number.NEGATIVE_INFINITY

  constructor(options: HandshakesOptions) {
    this.#options = options
  }

  /** Looks after the handshakes of a server, and after nothing else of what it hears of failed ones. */
  watch(server: Server): void {
    // Node's server for HTTPS answers them as requests that it cannot read.
    server.removeAllListeners('tlsClientError')
    server.on('connection', (socket: Socket) => this.#began(socket))
    server.on('secureConnection', (socket: TLSSocket) => void this.#underWay.delete(addressOf(socket) ?? ''))
    server.on('tlsClientError', (error, socket) => {
      this.#refused(error, socket)
      // Node leaves it open where it only took too long.
      socket.destroy()
    })
  }

  /** Ends those under way, as far as it can be told. */
  end(): void {
    for (const socket of this.#underWay.values()) socket.destroy()
  }

  /** Ends those under way, and all connections of Unix sockets. */
  endAll(): void {
    this.end()
    for (const socket of this.#nameless) socket.destroy()
  }

  #began(socket: Socket): void {
    const address = addressOf(socket)
    if (address === undefined) {
      this.#nameless.add(socket)
      socket.once('close', () => this.#nameless.delete(socket))
      return
    }
    const [oldest] = this.#underWay.size < this.#options.max ? [] : this.#underWay
    if (oldest !== undefined) {
      this.#givenWay += 1
      this.#underWay.delete(oldest[0])
      oldest[1].destroy()
      this.#count('limit')
    }
    this.#underWay.set(address, socket)
    socket.once('close', () => {
      if (this.#underWay.get(address) === socket) this.#underWay.delete(address)
    })
  }

  /** Counts a client that is not let in, and tells of it now and then. */
  refuse(reason: Reason, socket: TLSSocket, why: string): void {
    const { clock, log, listener } = this.#options
    this.#count(reason)
    if (clock.monotonic() < this.#silentUntil) return
    this.#silentUntil = clock.monotonic() + LOG_MS
    // Of a connection that has ended nobody knows any more where it came from.
    const { remoteAddress = 'an address that is gone, or a Unix socket' } = socket
    log.warn({ listener, reason: why }, `a client at ${remoteAddress} was not let in: no TLS came about`)
  }

  #refused(error: NodeJS.ErrnoException, socket: TLSSocket): void {
    this.#options.onRefused?.()
    const reason = reasonOf(error, socket)
    if (reason === 'gone' && this.#givenWay > 0) {
      this.#givenWay -= 1
      return
    }
    this.refuse(reason, socket, refusedCertificate(socket) ?? whyOf(error))
  }

  #count(reason: Reason): void {
    const { meter, listener } = this.#options
    meter.counter(TLS_HANDSHAKES_REFUSED_TOTAL)({ listener, reason }).add()
  }
}

function addressOf({ remoteAddress, remotePort }: Socket): string | undefined {
  return remoteAddress === undefined ? undefined : `${remoteAddress}:${remotePort}`
}

/** What Node says of a certificate for which it has ended the connection: its types say an error, and it is the code of one. */
function refusedCertificate({ authorizationError }: TLSSocket): string | undefined {
  const said: unknown = authorizationError
  return typeof said === 'string' ? said : undefined
}

/** OpenSSL's own words are in its reason: its message is where in its sources that was. */
function whyOf(error: NodeJS.ErrnoException & { readonly reason?: string }): string {
  return error.code === 'ERR_SSL_HTTP_REQUEST' ? 'it speaks HTTP without TLS' : (error.reason ?? messageOf(error))
}

function reasonOf({ code = '' }: NodeJS.ErrnoException, socket: TLSSocket): Reason {
  if (refusedCertificate(socket) !== undefined || code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE')
    return 'certificate'
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'slow'
  return code === 'ECONNRESET' ? 'gone' : 'failed'
}
