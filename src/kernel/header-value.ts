// Header values made of what policies say, which may quote what a client sent.

import { cleanHeaderValue } from './header-field.ts'

/** For Node's HTTP server, which writes a code unit a byte: the same bytes as UTF-8 has. */
export function httpHeaderValue(text: string): string {
  const clean = cleanHeaderValue(text)
  // oxlint-disable-next-line no-control-regex -- the range is "every character of ASCII"
  return /^[\x00-\x7f]*$/.test(clean) ? clean : Buffer.from(clean, 'utf8').toString('latin1')
}

/** Whether a name can be a header's in a message that is not ours to frame. */
export function isCopyableHeader(name: string): boolean {
  return /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name) && !FRAMING.has(name)
}

const FRAMING: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
