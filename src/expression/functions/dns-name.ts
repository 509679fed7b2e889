// DNS names as Mixer reads them: validated by IDNA's label rules, compared after IDNA's mapping for look-up.

import { EvaluationError } from '../compiled.ts'
import { isRightToLeft, obeysBidiRule } from './bidi.ts'
import { decodePunycode } from './punycode.ts'

type Outcome = { readonly text: string; readonly error: string | undefined }

const quoted = (label: string) => `idna: invalid label ${JSON.stringify(label)}`

/** Validates a name. @returns the name in Unicode form (unchanged unless a label is Punycode). */
export function dnsName(text: string): string | EvaluationError {
  const { text: name, error } = dnsNameProblem(text)
  return error === undefined ? name : new EvaluationError(`error converting '${text}' to dns name: '${error}'`)
}

/** The same, with the bare reason for a refusal. */
export function dnsNameProblem(text: string): Outcome {
  return toUnicode(text.normalize('NFC'), { emptyLabels: false })
}

/** Whether two names are the same; a single trailing dot does not count. */
export function equalDnsNames(a: string, b: string): boolean | EvaluationError {
  if (a === b && /^[a-z0-9]+(\.[a-z0-9]+)*$/.test(a)) return true
  const left = mapForLookup(a)
  if (left.error !== undefined) return new EvaluationError(left.error)
  const right = mapForLookup(b)
  if (right.error !== undefined) return new EvaluationError(right.error)
  if (left.text.endsWith('.') === right.text.endsWith('.')) return left.text === right.text
  return trimDot(left.text) === trimDot(right.text)
}

const trimDot = (name: string) => (name.endsWith('.') ? name.slice(0, -1) : name)

/** Validated by context, not ignored. */
const JOINERS = '\u200c\u200d'

/** UTS #46 mapping by way of NFKC and lower case, and its refusals by way of general categories. */
function mapForLookup(text: string): Outcome {
  const mapped = text
    .normalize('NFKC')
    .replaceAll('\u1e9e', 'ss')
    .toLowerCase()
    .normalize('NFKC')
    .replaceAll(/[\u3002\uff0e\uff61]/g, '.')
    .replaceAll(/\p{Default_Ignorable_Code_Point}/gu, (char) => (JOINERS.includes(char) ? char : ''))
  const refused = refusedCharacter(mapped)
  if (refused !== undefined) return { text, error: disallowed(refused) }
  return toUnicode(mapped, { emptyLabels: true })
}

/** Of ASCII, only letters, digits, hyphens and dots are allowed; beyond it, no controls, spaces or unassigned characters. */
function refusedCharacter(text: string): string | undefined {
  return /[\p{ASCII}--[a-z0-9.\-]]|[\p{Cc}\p{Cn}\p{Co}\p{Cs}\p{Z}]|[\u200e\u200f\u202a-\u202e\u2061-\u206f\ufff9-\ufffd]/v.exec(
    text,
  )?.[0]
}

function disallowed(char: string): string {
  return `idna: disallowed rune U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
}

function toUnicode(text: string, options: { emptyLabels: boolean }): Outcome {
  let error = text === '' && !options.emptyLabels ? quoted(text) : undefined
  let bidi = isRightToLeft(text)
  const labels = text.split('.')
  for (const [i, label] of labels.entries()) {
    if (label === '') {
      if (i < labels.length - 1 && !options.emptyLabels) error ??= quoted(label)
    } else if (label.startsWith('xn--')) {
      const decoded = decodePunycode(label.slice(4))
      if (decoded === undefined) {
        error ??= quoted(label.slice(4))
        continue
      }
      labels[i] = decoded
      bidi ||= isRightToLeft(decoded)
      const clean = decoded.normalize('NFC') === decoded && refusedCharacter(decoded) === undefined
      error ??= clean ? labelProblem(decoded) : quoted(decoded)
    } else {
      error ??= labelProblem(label)
    }
  }
  if (bidi) error ??= labels.every(obeysBidiRule) ? undefined : quoted(text)
  return { text: labels.join('.'), error }
}

function labelProblem(label: string): string | undefined {
  const hyphens = label.startsWith('--', 2) && label.length > 4
  const edge = label.startsWith('-') || label.endsWith('-')
  if (hyphens || edge || /^\p{M}/u.test(label)) return quoted(label)
  return joinersAllowed(label) ? undefined : quoted(label)
}

/** The contextual rules for zero-width (non-)joiners (RFC 5892, appendix A), without those on cursive joining types. */
function joinersAllowed(label: string): boolean {
  if (!/[\u200c\u200d]/.test(label)) return true
  return !/(^|[^\p{Mn}\p{Mc}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}])[\u200c\u200d]/u.test(label)
}
