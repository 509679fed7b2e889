// The Bidi rule for labels of host names (RFC 5893, section 2), on direction classes taken from scripts and categories.

const RIGHT =
  /[\p{Script=Hebrew}\p{Script=Nko}\p{Script=Samaritan}\p{Script=Mandaic}\p{Script=Adlam}\p{Script=Cypriot}\p{Script=Phoenician}]/u
const ARABIC_LETTER = /[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u

type Direction = 'L' | 'R' | 'AL' | 'AN' | 'EN' | 'NSM' | 'neutral'

function directionOf(char: string): Direction {
  if (/\p{Mn}/u.test(char)) return 'NSM'
  if (/[0-9\u06f0-\u06f9]/.test(char)) return 'EN'
  if (/[\u0660-\u0669\u066b\u066c\u06dd]/.test(char)) return 'AN'
  if (ARABIC_LETTER.test(char)) return 'AL'
  if (RIGHT.test(char)) return 'R'
  return /[\p{L}\p{Mc}\p{Nl}]/u.test(char) ? 'L' : 'neutral'
}

/** Whether a text holds characters written from right to left, so that the rule applies to its labels. */
export function isRightToLeft(text: string): boolean {
  if (/^[\u0020-\u007e]*$/.test(text)) return false
  return Array.from(text).some((char) => ['R', 'AL', 'AN'].includes(directionOf(char)))
}

/** Whether one label obeys the rule. */
export function obeysBidiRule(label: string): boolean {
  const directions = Array.from(label, directionOf)
  const last = directions.findLast((direction) => direction !== 'NSM')
  const has = (direction: Direction) => directions.includes(direction)
  switch (directions[0]) {
    case undefined:
      return true
    case 'L':
      return !has('R') && !has('AL') && !has('AN') && (last === 'L' || last === 'EN')
    case 'R':
    case 'AL':
      return !has('L') && !(has('EN') && has('AN')) && last !== 'neutral'
    default:
      return false
  }
}
