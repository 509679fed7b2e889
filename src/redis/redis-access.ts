// What a link needs to reach a Redis and to sign in: where it is, and the files that hold what must not stand in a command.

import type { RedisServer } from '../adapter-kit/script-runner.ts'

/** PEM files for TLS. */
export interface RedisTlsFiles {
  /** Authorities that may have signed the certificates of Redis, in place of those that Node trusts. */
  readonly ca?: string | undefined
  /** What Intermix shows of itself (mTLS): a certificate with its chain, and its key. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** Plain data, so that it can be handed to another process. Files are read again whenever a connection is made. */
export interface RedisAccess extends RedisServer {
  readonly tls?: RedisTlsFiles | undefined
}
