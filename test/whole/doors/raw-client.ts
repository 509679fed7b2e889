// Sends a request to the byte as it is, and reads the status of the answer.
import { connect } from 'node:net'
import { type Message, writeMessage } from './message.ts'

const DEADLINE_MS = 20_000

/** The status that a server at 127.0.0.1:`port` answers with; 0 where it closes the connection without an answer. */
export function send(port: number, message: Message): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    const finish = (status: number) => {
      resolve(status)
      socket.destroy()
    }
    socket.setEncoding('latin1').setTimeout(DEADLINE_MS, () => {
      reject(new Error(`no answer from port ${port} to ${JSON.stringify(message)}; so far: ${text}`))
      socket.destroy()
    })
    socket.on('connect', () => socket.write(writeMessage(message)))
    socket.on('data', (chunk: string) => {
      text += chunk
      const status = /^HTTP\/\d(?:\.\d)? (\d{3})/.exec(text)?.[1]
      if (status !== undefined) finish(Number(status))
    })
    // Proxies that dislike a request may reset the connection.
    socket.on('error', () => finish(0))
    socket.on('close', () => finish(0))
  })
}
