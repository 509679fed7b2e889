// Opens connections to a port, and has a call answered on each; then, for each line of input, one more on each of them:
// `node open-many.ts PORT COUNT PATH`. It is a process of its own since one may hold too few open files for both ends.
import { createInterface } from 'node:readline'
import { FrameClient } from '../../helpers/http2/frame-client.ts'

const [port = '', count = '', path = ''] = process.argv.slice(2)
const AT_ONCE = 200

const clients: FrameClient[] = []
async function openSome(): Promise<void> {
  const some = Array.from({ length: Math.min(AT_ONCE, Number(count) - clients.length) }, () =>
    FrameClient.open({ port: Number(port) }),
  )
  clients.push(...(await Promise.all(some)))
}

async function callOn(some: readonly FrameClient[]): Promise<number> {
  const statuses = some.map(async (client) => (await client.response(client.call(path, Buffer.from('x')))).trailers)
  const answered = (await Promise.all(statuses)).filter((trailers) => trailers['grpc-status'] === '0')
  for (const client of some) client.forget()
  return answered.length
}

async function callOnEach(): Promise<number> {
  let answered = 0
  for (let at = 0; at < clients.length; at += AT_ONCE) answered += await callOn(clients.slice(at, at + AT_ONCE))
  return answered
}

while (clients.length < Number(count)) await openSome()
console.log(`answered ${await callOnEach()}`)
for await (const _ of createInterface({ input: process.stdin })) console.log(`answered ${await callOnEach()}`)
