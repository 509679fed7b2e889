// HTTP requests as bytes, kept in latin1 text (a character a byte), so that nothing tidies them up.

export interface Message {
  readonly method: string
  readonly target: string
  readonly version: string
  /** Lines in their order, names as they were written. */
  readonly headers: readonly (readonly [name: string, value: string])[]
}

/** The header by which a request is found again where it was delivered. */
export const NUMBER_HEADER = 'x-request-number'

/** Bytes of text. */
export function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** Text of bytes; `undefined` where they are not UTF-8. */
export function textOf(bytes: string): string | undefined {
  try {
    return new TextDecoder('utf8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'))
  } catch {
    return undefined
  }
}

/** All values of a header, without the white space around them. */
export function valuesOf(message: Message, name: string): string[] {
  return message.headers
    .filter(([written]) => written.toLowerCase() === name)
    .map(([, value]) => value.replace(/^[ \t]+|[ \t]+$/g, ''))
}

export function writeMessage({ method, target, version, headers }: Message): Buffer {
  const lines = [`${method} ${target} ${version}`, ...headers.map(([name, value]) => `${name}: ${value}`), '', '']
  return Buffer.from(lines.join('\r\n'), 'latin1')
}

/** Reads the head of a request; `undefined` until it is complete. */
export function readMessage(bytes: Buffer): Message | undefined {
  const text = bytes.toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [line = '', ...lines] = text.slice(0, end).split('\r\n')
  const [method = '', ...rest] = line.split(' ')
  return {
    method,
    target: rest.slice(0, -1).join(' '),
    version: rest.at(-1) ?? '',
    headers: lines.map((header) => [header.slice(0, header.indexOf(':')), header.slice(header.indexOf(':') + 1)]),
  }
}
