// What can be read in two ways in a request's path or host, and how it is refused.

import { RefusedRequest } from '../kernel/refused-request.ts'

/**
 * Spellings of a path that servers read differently, each with what is said of it. Every one may be let through by name;
 * what it becomes then is said in `normal-path.ts`.
 */
const PATH_AMBIGUITIES = {
  'encoded-slash': 'an escaped slash, which some servers take for a slash',
  backslash: 'a backslash, which some servers take for a slash',
  control: 'a control character, at which some servers cut the path',
  'bad-escape': 'a % that no two hexadecimal digits follow',
  overlong: 'an overlong form of UTF-8, which some servers take for a slash or a dot',
  'non-ascii': 'a character that a path must escape',
  'dot-parameter': 'a dot segment or an empty one with a parameter, which some servers take for one without',
  'dots-behind-slashes': 'dot segments behind an empty segment: what they lead to depends on what is tidied up first',
} as const

export type PathAmbiguity = keyof typeof PATH_AMBIGUITIES

/** The names by which ambiguities of a path are let through. */
export const PATH_AMBIGUITY_NAMES = Object.keys(PATH_AMBIGUITIES) as readonly PathAmbiguity[]

/** Why a request was refused: an ambiguity of its path, a path that is none, or a host that is none. */
export type AmbiguityReason = PathAmbiguity | 'path' | 'host'

/** A request that could be taken for two: refused, since policy and the upstream might not take it for the same. */
export class AmbiguousRequest extends RefusedRequest {
  readonly ambiguity: AmbiguityReason

  constructor(ambiguity: AmbiguityReason, message: string) {
    const setting = ambiguity in PATH_AMBIGUITIES ? `--allow-ambiguous-paths ${ambiguity} lets it pass` : undefined
    super('ambiguous', message, setting)
    this.ambiguity = ambiguity
  }
}

/** Longest part of a request that a message quotes, in UTF-16 units. */
const QUOTED = 40

/** @throws AmbiguousRequest unless the ambiguity is allowed. */
export function refuseUnless(allowed: ReadonlySet<PathAmbiguity>, reason: PathAmbiguity, part: string): void {
  if (allowed.has(reason)) return
  throw new AmbiguousRequest(
    reason,
    `the path is ambiguous: ${quoted(part)} is ${PATH_AMBIGUITIES[reason]} (${reason})`,
  )
}

/** A part of a request as messages show it. */
export function quoted(part: string): string {
  return JSON.stringify(part.length > QUOTED ? `${part.slice(0, QUOTED)}…` : part)
}
