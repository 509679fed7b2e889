// What a link needs to reach a Redis and to sign in: where it is, and the files that hold what must not stand in a command.

/** PEM files for TLS. */
export interface RedisTlsFiles {
  /** Authorities that may have signed the certificates of Redis, in place of those that Node trusts. */
  readonly ca?: string | undefined
  /** What Intermix shows of itself (mTLS): a certificate with its chain, and its key. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** Plain data, so that it can be handed to another process. Files are read again whenever a connection is made. */
export interface RedisAccess {
  /** As `parseRedisUrl` reads it. */
  readonly url: string
  /** Its text, without a line end, is the password. */
  readonly passwordFile?: string | undefined
  /** What the sentinels themselves ask for. */
  readonly sentinel?: { readonly user?: string | undefined; readonly passwordFile?: string | undefined } | undefined
  readonly tls?: RedisTlsFiles | undefined
}
