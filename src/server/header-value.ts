// Header values made of what policies say, which may quote what a client sent.

// oxlint-disable-next-line no-control-regex -- control characters are what must not get into a header
const CONTROLS = /[\x00-\x08\x0a-\x1f\x7f]+/g

/** Without control characters, line breaks among them: they become one space each run. */
export function cleanHeaderValue(text: string): string {
  return text.replaceAll(CONTROLS, ' ').toWellFormed()
}

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
