// Sends reports over gRPC, as many under way at once as it is told: nothing is refused, and nothing piles up.

import { Client, credentials } from '@grpc/grpc-js'

const same = (bytes: Buffer) => bytes
const REPORT = '/istio.mixer.v1.Mixer/Report'
const ACCESS_LOG = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs'

export type ReportDoor = 'mixer' | 'als'

export interface Sender {
  /** Resolves when the door has taken all of them. */
  send(payloads: readonly Uint8Array[]): Promise<void>
  close(): void
}

/** @param underWay calls at once; a stream of access logs knows no answers, there flow control bounds it */
export function openSender(door: ReportDoor, address: string, underWay: number): Sender {
  const client = new Client(address, credentials.createInsecure())
  if (door === 'mixer') return { send: (payloads) => callEach(client, payloads, underWay), close: () => client.close() }
  const stream = client.makeBidiStreamRequest(ACCESS_LOG, same, same, {})
  let failure: Error | undefined
  stream.on('error', (error) => (failure = error))
  stream.on('data', () => undefined)
  return {
    async send(payloads) {
      for (const payload of payloads) {
        if (failure !== undefined) throw failure
        await new Promise<void>((resolve) => stream.write(Buffer.from(payload), () => resolve()))
      }
    },
    close() {
      stream.end()
      client.close()
    },
  }
}

async function callEach(client: Client, payloads: readonly Uint8Array[], underWay: number): Promise<void> {
  let next = 0
  const work = async () => {
    for (let payload = payloads[next++]; payload !== undefined; payload = payloads[next++]) {
      const bytes = Buffer.from(payload)
      await new Promise<void>((resolve, reject) => {
        client.makeUnaryRequest(REPORT, same, same, bytes, (error) => (error === null ? resolve() : reject(error)))
      })
    }
  }
  await Promise.all(Array.from({ length: underWay }, work))
}
