// TLS to nodes from files in PEM, which are read anew for each connection: certificates of services live for hours.

import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { IntermixError, messageOf } from '../../kernel/errors.ts'
import { readCertificates, readPrivateKey } from '../../kernel/pem.ts'
import type { Logger } from '../../kernel/ports.ts'

export interface NodeTlsFiles {
  /** Authorities that may have signed the certificates of nodes. */
  readonly ca: string
  /** What nodes are shown, and its key. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** The name in the certificates of nodes; unset: that under which each is listed. */
  readonly servername?: string | undefined
}

const CHECKS = { ca: readCertificates, cert: readCertificates, key: readPrivateKey }
type Part = keyof typeof CHECKS

/**
 * Options whose `ca`, `cert` and `key` are what the files hold when they are asked for. A file that cannot be used by then is
 * told in the log, and what it held last is used.
 * @throws IntermixError INVALID_SETTING where one cannot be used now
 */
export function tlsFromFiles({ servername, ...files }: NodeTlsFiles, log: Logger): ConnectionOptions {
  const problems: string[] = []
  const options: ConnectionOptions = { minVersion: 'TLSv1.2', ...(servername !== undefined && { servername }) }
  for (const part of Object.keys(CHECKS) as Part[]) {
    const path = files[part]
    if (path === undefined) continue
    let last: string
    try {
      last = read(part, path)
    } catch (caught) {
      problems.push(`--nodes-tls-${part}: ${path} cannot be used: ${messageOf(caught)}`)
      continue
    }
    const get = (): string => {
      try {
        last = read(part, path)
      } catch (caught) {
        log.error(
          { file: path, reason: messageOf(caught) },
          'a file for TLS to nodes cannot be used: the last good one is',
        )
      }
      return last
    }
    Object.defineProperty(options, part, { get, enumerable: true })
  }
  if (problems.length > 0) throw new IntermixError('INVALID_SETTING', problems.join('\n'))
  return options
}

function read(part: Part, path: string): string {
  const pem = readFileSync(path, 'utf8')
  CHECKS[part](pem)
  return pem
}
