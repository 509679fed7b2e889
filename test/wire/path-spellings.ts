// Ways to write one path: what a caller may do to pass a rule that does not know them.

/** Spellings of `/segment/segment…` that RFC 3986 and every server's tidying make that path; each once. */
export function spellingsOf(path: string): string[] {
  const segments = path.slice(1).split('/')
  const found = new Set<string>([path])
  for (const change of SEGMENT_CHANGES) {
    for (const at of segments.keys()) {
      for (const changed of change(segments[at] ?? '')) found.add(`/${segments.with(at, changed).join('/')}`)
    }
  }
  for (const insertion of INSERTIONS) {
    for (let at = 0; at <= path.length; at++) {
      if (path[at] === '/') found.add(`${path.slice(0, at)}${insertion}${path.slice(at)}`)
    }
  }
  const dressed = [...found]
  for (const insertion of ['/.', '/', '/zz/%2E%2e'])
    for (const spelling of dressed) found.add(`${insertion}${spelling}`)
  return [...found]
}

/** Each does nothing before a slash. */
const INSERTIONS = ['/', '//', '/.', '/./.', '/%2e', '/%2E', '/x/..', '/x/%2e.', '/x/.%2E', '/x;v=1/..', '/a/b/../..']

const hex = (character: string) => character.charCodeAt(0).toString(16)

const SEGMENT_CHANGES: readonly ((segment: string) => string[])[] = [
  (segment) => Array.from(segment, (character, at) => escapeAt(segment, at, hex(character))),
  (segment) => Array.from(segment, (character, at) => escapeAt(segment, at, hex(character).toUpperCase())),
  (segment) => [Array.from(segment, (character) => `%${hex(character)}`).join('')],
]

function escapeAt(segment: string, at: number, digits: string): string {
  return `${segment.slice(0, at)}%${digits}${segment.slice(at + 1)}`
}
