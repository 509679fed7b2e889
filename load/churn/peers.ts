// What peers of a node do with their connections, well-behaved and not: each takes one connection from its beginning to its end.

import * as frames from '../../test/helpers/http2/frames.ts'
import { FrameClient, type Target } from '../../test/helpers/http2/frame-client.ts'
import { DOORS } from '../kit/doors.ts'

/** What a peer is given. */
export interface Peer {
  readonly target: Target
  /** Encoded checks, and whether each is to be allowed. */
  readonly checks: readonly { readonly message: Buffer; readonly allowed: boolean }[]
  readonly random: () => number
  /** Hears of each call that has ended. */
  readonly onEnd: (ended: 'right' | 'wrong' | 'none') => void
}

const { path: PATH } = DOORS.ext_authz
const MESSAGE_HEAD_BYTES = 5
const BATCH = 10

/** Asks for some checks at once, and waits for their answers. */
async function ask(client: FrameClient, peer: Peer, count: number): Promise<void> {
  const asked = Array.from({ length: count }, () => {
    const check = peer.checks[Math.floor(peer.random() * peer.checks.length)] as Peer['checks'][number]
    return { ...check, stream: client.call(PATH, check.message) }
  })
  for (const { stream, allowed } of asked) {
    const { body, trailers } = await client.response(stream)
    const decision = DOORS.ext_authz.decision(body, MESSAGE_HEAD_BYTES, body.length)
    // Shed, or decided without the backend: the machine was too busy.
    if (trailers['grpc-status'] !== '0' || decision === 'failed') peer.onEnd('none')
    else peer.onEnd((decision === 'allow') === allowed ? 'right' : 'wrong')
  }
  client.forget()
}

async function opened(peer: Peer, use: (client: FrameClient) => Promise<void> | void): Promise<void> {
  const client = await FrameClient.open(peer.target)
  try {
    await use(client)
  } finally {
    client.destroy()
  }
}

/** Every way to behave, and how often it occurs beside the others. */
export const WAYS: Readonly<Record<string, { readonly weight: number; readonly run: (peer: Peer) => Promise<void> }>> =
  {
    'asks and ends': {
      weight: 10,
      run: (peer) =>
        opened(peer, async (client) => {
          for (let batches = 1 + peer.random() * 3; batches > 0; batches--) await ask(client, peer, BATCH)
          client.half()
          await client.ended()
        }),
    },
    'goes while it is answered': {
      weight: 5,
      run: (peer) =>
        opened(peer, async (client) => {
          await ask(client, peer, BATCH)
          for (const { message } of peer.checks) client.call(PATH, message)
        }),
    },
    'takes calls back': {
      weight: 5,
      run: (peer) =>
        opened(peer, async (client) => {
          for (const { message } of peer.checks.slice(0, BATCH))
            client.send(frames.resetStream(client.call(PATH, message)))
          await ask(client, peer, BATCH)
        }),
    },
    'does not read': {
      weight: 2,
      run: (peer) =>
        opened(peer, async (client) => {
          await ask(client, peer, 1)
          client.stopReading()
          for (const { message } of peer.checks) client.call(PATH, message)
          await pause(peer.random() * 200)
        }),
    },
    'sends half of a call': {
      weight: 2,
      run: (peer) =>
        opened(peer, async (client) => {
          const [check] = peer.checks
          const call = Buffer.concat([
            frames.headers(1, FrameClient.callHeaders(PATH)),
            frames.data(1, frames.grpcMessage(check?.message ?? Buffer.alloc(0))),
          ])
          client.send(call.subarray(0, Math.floor(peer.random() * call.length)))
          await pause(peer.random() * 200)
        }),
    },
    'says nothing': {
      weight: 1,
      run: async ({ target, random }) => {
        const client = await FrameClient.open(target, { settings: 'silent' })
        await pause(random() * 200)
        client.destroy()
      },
    },
    'breaks the protocol': {
      weight: 2,
      run: (peer) =>
        opened(peer, async (client) => {
          await ask(client, peer, 1)
          client.send(frames.data(0, Buffer.from('of no stream')))
          await client.ended()
        }),
    },
  }

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
