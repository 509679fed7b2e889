// Where the nodes are, as it is written: addresses, names that lead to some, and sockets.

import { isIPv6 } from 'node:net'
import { IntermixError } from '../../kernel/errors.ts'

/** One item of the list of nodes. */
export type NodeSource =
  | { readonly kind: 'address'; readonly host: string; readonly port: number }
  | { readonly kind: 'socket'; readonly path: string }
  /** All addresses of a name. */
  | { readonly kind: 'dns'; readonly name: string; readonly port: number }
  /** A service record: hosts and ports. */
  | { readonly kind: 'srv'; readonly name: string }

const ALLOWED =
  'HOST:PORT, such as 10.0.0.1:9091 or [::1]:9091, dns:NAME:PORT for all addresses of a name, srv:NAME for a service record, or unix:PATH'

/** Reads an item. @throws IntermixError INVALID_SETTING that says what is allowed */
export function readNodeSource(text: string): NodeSource {
  const source = sourceOf(text)
  if (source === undefined) throw new IntermixError('INVALID_SETTING', `"${text}" is no node; give ${ALLOWED}`)
  return source
}

/** A host and a port as one text: how a node is called, and known. */
export function addressText(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * The host is a name as DNS has it, or an address: other characters have no place in `:authority`.
 * @returns `undefined` where it is none
 */
export function readAddress(text: string): { readonly host: string; readonly port: number } | undefined {
  const [, inBrackets, plain, digits] = /^(?:\[([^\]]+)\]|([\w.-]{1,253})):(\d{1,5})$/.exec(text) ?? []
  const host = inBrackets ?? plain
  const port = Number(digits)
  if (host === undefined || port < 1 || port > 65_535 || (inBrackets !== undefined && !isIPv6(inBrackets)))
    return undefined
  return { host, port }
}

function sourceOf(text: string): NodeSource | undefined {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length)
    return path === '' ? undefined : { kind: 'socket', path }
  }
  if (text.startsWith('srv:')) {
    const name = text.slice('srv:'.length)
    return /^[^\s:/]+$/.test(name) ? { kind: 'srv', name } : undefined
  }
  if (text.startsWith('dns:')) {
    const named = readAddress(text.slice('dns:'.length))
    return named === undefined ? undefined : { kind: 'dns', name: named.host, port: named.port }
  }
  const address = readAddress(text)
  return address === undefined ? undefined : { kind: 'address', ...address }
}
