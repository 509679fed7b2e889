// How ioredis opens connections where what is needed to sign in may change: it takes a connector of ours, and from its
// options, which it reads anew for each connection, what the files hold then. Copies of a client, as BullMQ makes them, and
// the clients that a cluster has for its nodes come by the same way.

import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { AbstractConnector, type RedisOptions, SentinelConnector } from 'ioredis'
import type { Secrets } from './sign-in.ts'

type Connector = NonNullable<RedisOptions['Connector']>
type Stream = Awaited<ReturnType<AbstractConnector['connect']>>

/** The connector of a client that speaks to one server: that of a URL, a node of a cluster, or a sentinel. */
export function serverConnector(password: () => string | undefined): Connector {
  return class extends AbstractConnector {
    readonly #options: RedisOptions

    constructor(given: unknown) {
      const options = given as RedisOptions
      super(options.disconnectTimeout ?? 0)
      this.#options = options
      follow(options, 'password', password)
    }

    // In the next tick, as ioredis expects: it can be told to end before.
    async connect(): Promise<Stream> {
      this.connecting = true
      await new Promise<void>((resolve) => process.nextTick(resolve))
      if (!this.connecting) throw new Error('Connection is closed.')
      const { host = '127.0.0.1', port = 6379, tls } = this.#options
      const stream = tls === undefined ? connectTcp({ host, port }) : connectTls({ host, port, ...tls })
      this.stream = stream
      stream.once('error', (error) => {
        this.firstError = error
      })
      return stream
    }
  }
}

/** The connector of a client that asks sentinels for its server. */
export function sentinelConnector(secrets: () => Secrets, watch: (stream: Stream) => void): Connector {
  return class extends SentinelConnector {
    constructor(given: unknown) {
      const options = given as RedisOptions
      follow(options, 'password', () => secrets().password)
      follow(options, 'sentinelPassword', () => secrets().sentinelPassword)
      super(options)
    }

    override async connect(onError: Parameters<SentinelConnector['connect']>[0]): Promise<Stream> {
      const stream = await super.connect(onError)
      watch(stream)
      return stream
    }
  }
}

/** A password that the options have already, from the URL, stays where no file has another. */
function follow(options: RedisOptions, key: 'password' | 'sentinelPassword', read: () => string | undefined): void {
  const given = options[key]
  Object.defineProperty(options, key, { get: () => read() ?? given, enumerable: true, configurable: true })
}
