// Sends a request as HTTP/2: what the first line of HTTP/1.1 says, pseudo headers say there.
import { connect } from 'node:http2'
import { type Message, valuesOf } from './message.ts'

const DEADLINE_MS = 20_000
/** Of a connection, which HTTP/2 has not; a client that sends them breaks the protocol. */
const NOT_SENT: ReadonlySet<string> = new Set(['connection', 'host'])

/**
 * The status that a server at 127.0.0.1:`port` answers with; 0 where it resets the stream, or where this client cannot
 * send such a request. The first `Host` becomes `:authority`, further ones stay.
 */
export function sendHttp2(port: number, message: Message): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${port}`)
    const finish = (status: number) => {
      resolve(status)
      session.destroy()
    }
    session.setTimeout(DEADLINE_MS, () => {
      reject(new Error(`no answer over HTTP/2 to ${JSON.stringify(message)}`))
      session.destroy()
    })
    session.on('error', () => finish(0))
    try {
      const stream = session.request(headersOf(message), { endStream: true })
      stream.on('response', (headers) => finish(headers[':status'] ?? 0))
      stream.on('error', () => finish(0))
      stream.on('close', () => finish(0))
    } catch {
      finish(0)
    }
  })
}

function headersOf(message: Message): Record<string, string | string[]> {
  const [authority, ...further] = valuesOf(message, 'host')
  const names = new Set(message.headers.map(([name]) => name.toLowerCase()))
  const others = [...names].filter((name) => !NOT_SENT.has(name)).map((name) => [name, valuesOf(message, name)])
  return {
    ':method': message.method,
    ':path': message.target,
    ':scheme': 'http',
    ...(authority === undefined ? {} : { ':authority': authority }),
    ...(further.length === 0 ? {} : { host: further }),
    ...(Object.fromEntries(others) as Record<string, string[]>),
  }
}
