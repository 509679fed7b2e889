// DNS names as Mixer reads them: validated by IDNA's label rules, compared after IDNA's mapping for look-up (UTS #46).
// tr46 says whether something is wrong; what it is, in the words of Go's idna, is looked for here.

import { toUnicode } from 'tr46'
import { EvaluationError } from '../compiled.ts'

type Outcome = { readonly text: string; readonly error: string | undefined }

/** What nearly all names look like: valid, and mapped by lower case alone. */
const PLAIN = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)*\.?$/i

/** Other names cost about a microsecond a character; those of hosts have 253 at most. */
const MAX_LENGTH = 1_000

const ANY_ASCII = { checkHyphens: true, checkJoiners: true }
const HOST_ASCII = { ...ANY_ASCII, useSTD3ASCIIRules: true }

const quoted = (label: string) => `idna: invalid label ${JSON.stringify(label)}`

/** Validates a name. @returns the name in Unicode form (unchanged unless a label is Punycode). */
export function dnsName(text: string): string | EvaluationError {
  const { text: name, error } = dnsNameProblem(text)
  return error === undefined ? name : new EvaluationError(`error converting '${text}' to dns name: '${error}'`)
}

/** The same, with the bare reason for a refusal. */
export function dnsNameProblem(text: string): Outcome {
  if (PLAIN.test(text)) return { text, error: undefined }
  if (text.length > MAX_LENGTH) return { text, error: quoted(text) }
  const composed = text.normalize('NFC')
  const labels = composed.split('.').map(validLabel)
  const name = labels.map((label) => label.text).join('.')
  const error = emptyLabel(composed) ?? labels.find((label) => label.error !== undefined)?.error
  const isBackwards = error === undefined && toUnicode(formOf(name), { checkBidi: true }).error
  return { text: name, error: isBackwards ? quoted(composed) : error }
}

/** Whether two names are the same; a single trailing dot does not count. */
export function equalDnsNames(a: string, b: string): boolean | EvaluationError {
  if (a === b && PLAIN.test(a)) return true
  const left = mapForLookup(a)
  if (left.error !== undefined) return new EvaluationError(left.error)
  const right = mapForLookup(b)
  if (right.error !== undefined) return new EvaluationError(right.error)
  if (left.text.endsWith('.') === right.text.endsWith('.')) return left.text === right.text
  return trimDot(left.text) === trimDot(right.text)
}

const trimDot = (name: string) => (name.endsWith('.') ? name.slice(0, -1) : name)

function mapForLookup(text: string): Outcome {
  if (PLAIN.test(text)) return { text: text.toLowerCase(), error: undefined }
  if (text.length > MAX_LENGTH) return { text, error: quoted(text) }
  // Newer tables map it to ß; those of Mixer's time, and so the names that its rules take for the same, to ss.
  const name = text.replaceAll('ẞ', 'ss')
  const { domain, error } = toUnicode(name, { ...HOST_ASCII, checkBidi: true })
  if (!error) return { text: domain, error: undefined }
  const refused = Array.from(name).find((char) => readCharacter(char).error)
  if (refused !== undefined) return { text, error: disallowed(refused) }
  const labels = name.split(/[.\u3002\uff0e\uff61]/).map((label) => readLabel(label, HOST_ASCII))
  return { text, error: labels.find((label) => label.error !== undefined)?.error ?? quoted(domain) }
}

/** Only the last label may be empty, and not alone. */
function emptyLabel(name: string): string | undefined {
  return name === '' || /^\.|\.\./.test(name) ? quoted('') : undefined
}

/** Mixer decodes without mapping, so that the letters which stand as they are must be small ones. */
const PUNYCODE = /^xn--(?:[\p{ASCII}--[A-Z]]*-)?[a-zA-Z0-9]*$/v

/** A label that is validated and not mapped: as it is, unless it is Punycode. */
function validLabel(label: string): Outcome {
  if (PUNYCODE.test(label)) return readLabel(label, HOST_ASCII)
  if (label.startsWith('xn--')) return { text: label, error: quoted(label.slice(4)) }
  const isInvalid = label.startsWith('--', 2) || toUnicode(formOf(label), ANY_ASCII).error
  return { text: label, error: isInvalid ? quoted(label) : undefined }
}

function readLabel(label: string, rules: typeof HOST_ASCII): Outcome {
  const { domain, error } = toUnicode(label, rules)
  return { text: domain, error: error ? quoted(domain.replace(/^xn--/, '')) : undefined }
}

/** Where Mixer validates without mapping it takes any character: what tr46 refuses or maps to ASCII stands as a letter. */
function formOf(name: string): string {
  return name.replaceAll(/\P{ASCII}/gu, (char) => {
    const { domain, error } = readCharacter(char)
    return error || !/^.\P{ASCII}/u.test(domain) ? 'a' : char
  })
}

/** Behind a letter, since a mark must not come first; behind one that no mark melts into. */
function readCharacter(char: string): { domain: string; error: boolean } {
  return toUnicode(`日${char}`, { useSTD3ASCIIRules: true })
}

function disallowed(char: string): string {
  return `idna: disallowed rune U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
}
