// Settings as they are given: each of its type and within its bounds.

import { Json, JsonValue } from './json'

/** What is wrong is a problem that begins with where it is. */
export class Given {
  constructor(
    private readonly root: JsonValue,
    private readonly problems: Array<string>,
    /** What the names of settings stand behind. */
    private readonly prefix: string,
  ) {}

  /** Settings that are not among these are problems. */
  refuseOthers(known: Array<string>): void {
    const names = this.root.names
    for (let i = 0; i < names.length; i++) {
      if (!known.includes(names[i])) this.fail(names[i], 'there is no such setting; there are ' + known.join(', '))
    }
  }

  private fail(name: string, what: string): void {
    this.problems.push(this.prefix + name + ': ' + what)
  }

  text(name: string, otherwise: string): string {
    const value = this.root.get(name)
    if (value === null) return otherwise
    if (value.kind === Json.TEXT) return value.text
    this.fail(name, 'must be a text')
    return otherwise
  }

  integer(name: string, otherwise: i32, least: i32, most: i32): i32 {
    const value = this.root.get(name)
    if (value === null) return otherwise
    const number = value.number
    if (value.kind === Json.NUMBER && number === Math.floor(number) && number >= <f64>least && number <= <f64>most)
      return <i32>number
    this.fail(name, 'must be a whole number from ' + least.toString() + ' to ' + most.toString())
    return otherwise
  }

  /** Which of some words it is. */
  oneOf(name: string, words: Array<string>, otherwise: i32): i32 {
    const value = this.root.get(name)
    if (value === null) return otherwise
    const at = value.kind === Json.TEXT ? words.indexOf(value.text) : -1
    if (at >= 0) return at
    this.fail(name, 'must be one of ' + words.join(', '))
    return otherwise < 0 ? 0 : otherwise
  }
}
