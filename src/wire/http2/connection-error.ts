// What ends a whole connection (RFC 9113, section 5.4.1).

/**
 * Why connections end, as they are counted: the peer left or broke (`peer`), broke the protocol (`protocol`), asked for more
 * than is good for others (`abuse`), never began (`handshake`), did not read (`stalled`), was silent (`dead`), had nothing to do (`idle`),
 * was old enough (`age`), or the server ends (`drain`).
 */
export type CloseReason = 'peer' | 'protocol' | 'abuse' | 'handshake' | 'stalled' | 'dead' | 'idle' | 'age' | 'drain'

/** Thrown where a frame is read; the connection answers with GOAWAY and closes. */
export class ConnectionError extends Error {
  /** Of `ErrorCode`. */
  readonly code: number
  readonly reason: CloseReason

  constructor(code: number, message: string, reason: CloseReason = 'protocol') {
    super(message)
    this.code = code
    this.reason = reason
  }
}
