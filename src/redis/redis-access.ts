// What a link needs to reach a Redis and to sign in: where it is, and the files that hold what must not stand in a command.

/** PEM files for TLS; they are read again whenever a connection is made. */
export interface RedisTlsFiles {
  /** Authorities that may have signed the certificates of Redis, in place of those that Node trusts. */
  readonly ca?: string | undefined
  /** What Intermix shows of itself (mTLS): a certificate with its chain, and its key. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** Where a Redis is and how to sign in. It is plain data, so that it can be handed to another process. */
export interface RedisAccess {
  /** As `parseRedisUrl` reads it. */
  readonly url: string
  /** Its text, without a line end, is the password; read again whenever a connection is made. */
  readonly passwordFile?: string | undefined
  /** What the sentinels themselves ask for. */
  readonly sentinelPasswordFile?: string | undefined
  readonly tls?: RedisTlsFiles | undefined
}
