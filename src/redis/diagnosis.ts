// Finds out why a server cannot be used where our client does not tell: it hides what happens to its connections to
// sentinels and nodes of a cluster, and a connection that is cut off, or a TLS handshake that does not end, may mean much.

import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { Redis, type RedisOptions } from 'ioredis'
import { IntermixError } from '../kernel/errors.ts'
import { type Attempt, describeFailure, explainFailure, isSilentEnd, NO_ANSWER } from './failure-reason.ts'
import { onRefusal, refusalIn } from './first-line.ts'

const PATIENCE_MS = 1000
const DEADLINE_MS = 3 * PATIENCE_MS
const UNENDING = 'its answers come to no end: it is no Redis, or what is in between holds them up'

/** Of the options of a client, those that are for signing in. */
export type Credentials = Pick<RedisOptions, 'username' | 'password' | 'tls' | 'Connector'>

export interface Place {
  readonly host: string
  readonly port: number
}

/** Where those who listen to sentinels and to clusters tell what they heard. */
export interface Findings {
  tell(words: string): void
  /** Finds out more by connections of its own, in the background and not often. */
  look(find: () => Promise<string | undefined>): void
}

/**
 * Connects to one server as our client would, and says what comes of it; `undefined` where nothing is wrong with it.
 * @param options how to sign in
 */
export async function diagnose(place: Place, options: Credentials, attempt: Attempt): Promise<string | undefined> {
  const error = await failureOf(place, options, attempt)
  return error === undefined ? undefined : await lookCloser(error, place, attempt)
}

/** What an error means: from its own words, else from what the server says to bare connections. */
export async function lookCloser(error: Error, place: Place, attempt: Attempt): Promise<string> {
  const { tls } = attempt
  if (explainFailure(error, attempt) !== undefined) return describeFailure(error, attempt)
  const isLate = 'code' in error && error.code === 'ETIMEDOUT'
  if (tls && (isLate || isSilentEnd(error))) {
    const met = await meet(connectTcp(place), 'connect')
    if (met === 'met')
      return 'it takes connections and no TLS: write redis:// in place of rediss://, or name its TLS port'
    return met === 'silent' ? NO_ANSWER : describeFailure(met, attempt)
  }
  if (!tls && isSilentEnd(error)) {
    // What is written to a server that hangs up may cost us what it has said.
    const line = await firstLine(place)
    if (line !== undefined) return describeFailure(new Error(line), attempt)
    const met = await meet(connectTls({ ...place, rejectUnauthorized: false }), 'secureConnect')
    if (met === 'met' || (met !== 'silent' && /ALERT/.test(codeOf(met))))
      return 'it expects TLS: write rediss:// in place of redis://'
  }
  return describeFailure(error, attempt)
}

async function failureOf(place: Place, options: Credentials, { kind }: Attempt): Promise<Error | undefined> {
  const settings = {
    ...defined(options),
    ...place,
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: PATIENCE_MS,
    socketTimeout: PATIENCE_MS,
    enableOfflineQueue: false,
    enableReadyCheck: false,
  }
  const client = new Redis(settings)
  let first: Error | undefined
  client.on('error', (error: Error) => {
    first ??= error
  })
  onRefusal(client, (line) => {
    first = new Error(line)
  })
  // An answer that never ends comes in time, bit by bit.
  const overdue = setTimeout(() => {
    first ??= new IntermixError('REDIS_UNAVAILABLE', UNENDING)
    client.disconnect()
  }, DEADLINE_MS)
  try {
    await client.connect()
    if (kind !== 'cluster') {
      await client.ping()
      return first
    }
    const info = await client.cluster('INFO')
    return info.includes('cluster_state:fail') ? new Error('cluster_state:fail') : undefined
  } catch (error) {
    return first ?? (error as Error)
  } finally {
    clearTimeout(overdue)
    client.disconnect()
  }
}

/** What a server says to who says nothing, if it is an error. */
function firstLine(place: Place): Promise<string | undefined> {
  const socket = connectTcp(place)
  return new Promise<string | undefined>((resolve) => {
    socket.once('data', (chunk) => resolve(refusalIn(chunk)))
    socket.setTimeout(PATIENCE_MS, () => resolve(undefined))
    socket.on('error', () => resolve(undefined))
    socket.once('close', () => resolve(undefined))
  }).finally(() => socket.destroy())
}

/** How a bare connection begins. */
function meet(socket: Socket, event: 'connect' | 'secureConnect'): Promise<'met' | 'silent' | Error> {
  return new Promise<'met' | 'silent' | Error>((resolve) => {
    socket.once(event, () => resolve('met'))
    socket.setTimeout(PATIENCE_MS, () => resolve('silent'))
    socket.on('error', resolve)
    socket.once('close', () => resolve('silent'))
  }).finally(() => socket.destroy())
}

function defined({ username, password, tls, Connector }: Credentials): Credentials {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
    ...(Connector === undefined ? {} : { Connector }),
  }
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : ''
}
