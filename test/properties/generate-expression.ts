// Random expressions, in the part of the languages that the oracle knows. They may be false, absent or fail for reasons of
// all kinds: a text that is no number or address, a pattern that is none, a division by zero, a value of a foreign type.

import { Duration } from '../../src/kernel/time.ts'
import { constant, type Dialect, type Expression } from './oracle/syntax.ts'
import type { Picker } from './random.ts'
import { type AttributeType, namesOf, type Vocabulary } from './vocabulary.ts'

/** Makes expressions for one place in a config. */
export class ExpressionSource {
  readonly #pick: Picker
  readonly #dialect: Dialect
  readonly #vocabulary: Vocabulary
  readonly #hidden: (name: string) => boolean

  /** @param hidden names that stand for something else at this place */
  constructor(pick: Picker, dialect: Dialect, vocabulary: Vocabulary, hidden: (name: string) => boolean = () => false) {
    this.#pick = pick
    this.#vocabulary = vocabulary
    this.#dialect = dialect
    this.#hidden = hidden
  }

  /** A condition: mostly what rules are made of, joined by `&&`. */
  match(): Expression {
    const pick = this.#pick
    let expression = this.#term()
    for (let i = pick.int(3); i > 0; i--) {
      const other = this.#term()
      const [left, right] = pick.chance(0.5) ? [expression, other] : [other, expression]
      expression = { is: pick.chance(0.75) ? 'and' : 'or', left, right }
    }
    return expression
  }

  /** A value of any type, for a field of an instance. */
  any(): Expression {
    const pick = this.#pick
    const kind = pick.int(9)
    if (kind === 8) return this.attribute('STRING')
    if (kind === 0) return this.attribute('INT64')
    if (kind === 1) return this.attribute('STRING_MAP')
    if (kind === 2) return this.attribute('IP_ADDRESS')
    if (kind === 3) {
      const duration = this.attribute('DURATION')
      const other = constant(new Duration(1_000_000n))
      return this.#dialect === 'CEXL' && pick.chance(0.5) ? { is: 'else', left: duration, right: other } : duration
    }
    return this.text()
  }

  text(): Expression {
    const pick = this.#pick
    const kind = pick.int(7)
    if (kind < 2) return this.attribute('STRING')
    if (kind === 2) return this.#entry()
    if (kind < 5)
      return { is: 'else', left: this.#optional(), right: pick.chance(0.7) ? constant('none') : this.text() }
    if (kind === 5) return { is: 'join', left: this.#plain(), right: this.#plain() }
    return { is: 'choice', condition: this.#term(), left: constant('x'), right: this.attribute('STRING') }
  }

  /** What many rules are told apart by: how a text begins or ends, or which of a few it is; mostly the same text. */
  affix(): Expression {
    const pick = this.#pick
    const read: Expression = pick.chance(0.8)
      ? { is: 'attribute', name: this.#vocabulary.attributes[0].name, type: 'STRING' }
      : this.#plain()
    const test = (): Expression => {
      const is = pick.of(['starts', 'starts', 'starts', 'starts', 'ends', 'glob', 'equal'] as const)
      const text = pick.of(this.#vocabulary.affixes)
      const right = constant(is === 'glob' ? pick.of([`${text}*`, `*${text}`]) : text)
      const hasDefault = this.#dialect === 'CEXL' && pick.chance(0.2)
      return {
        is,
        left: hasDefault ? { is: 'else', left: read, right: constant(pick.of(this.#vocabulary.affixes)) } : read,
        right,
      }
    }
    const first = test()
    return pick.chance(0.3) ? { is: 'or', left: first, right: pick.chance(0.9) ? test() : this.#term() } : first
  }

  attribute(type: AttributeType): Expression {
    return { is: 'attribute', name: this.#nameOf(type), type }
  }

  #term(): Expression {
    const pick = this.#pick
    if (this.#dialect === 'CEL' && pick.chance(0.35)) return this.#celTerm()
    switch (pick.int(11)) {
      case 0:
      case 1:
      case 2:
        return { is: 'equal', left: this.attribute('STRING'), right: constant(pick.of(this.#vocabulary.words)) }
      case 3:
        return { is: 'equal', left: this.#entry(), right: constant(pick.of(this.#vocabulary.words)) }
      case 4:
        return { is: pick.of(['equal', 'less']), left: this.attribute('INT64'), right: constant(pick.of([0n, 5n, 6n])) }
      case 5:
        return this.affix()
      case 6:
        return { is: pick.of(['equal', 'unequal']), left: this.text(), right: this.#plain() }
      case 7:
        return { is: 'glob', left: this.#plain(), right: constant(pick.of(['x*', '*x', 'x'])) }
      case 8:
        return {
          is: 'matches',
          left: this.text(),
          right: pick.chance(0.5) ? constant('x.*') : this.attribute('STRING'),
        }
      case 9:
        return { is: 'equal', left: { is: 'address', of: this.text() }, right: this.attribute('IP_ADDRESS') }
      default:
        return {
          is: 'choice',
          condition: { is: 'equal', left: this.attribute('INT64'), right: constant(5n) },
          left: { is: 'equal', left: this.#plain(), right: constant('x') },
          right: { is: 'starts', left: this.#plain(), right: constant('y') },
        }
    }
  }

  #celTerm(): Expression {
    const pick = this.#pick
    const map = this.#nameOf('STRING_MAP')
    const isFive = (of: Expression): Expression => ({ is: 'equal', left: { is: 'integer', of }, right: constant(5n) })
    switch (pick.int(8)) {
      case 0:
        return isFive(this.#plain())
      case 1: {
        const quotient: Expression = { is: 'quotient', left: constant(10n), right: this.attribute('INT64') }
        return { is: 'equal', left: quotient, right: constant(2n) }
      }
      case 2:
        return { is: 'less', left: { is: 'size', map }, right: constant(2n) }
      case 3:
        return { is: 'same', map, other: this.#nameOf('STRING_MAP') }
      case 4:
        return { is: 'has', name: this.#choose(dottedOf(this.#vocabulary)) }
      case 5:
        return {
          is: 'holds',
          map,
          key: pick.chance(0.7) ? constant(pick.of(this.#vocabulary.keys)) : this.attribute('STRING'),
        }
      case 6:
        return { is: pick.of(['some', 'every']), map, body: isFive({ is: 'entry', map, key: { is: 'key' } }) }
      default:
        return { is: 'not', of: { is: 'equal', left: this.#plain(), right: constant(pick.of(this.#vocabulary.words)) } }
    }
  }

  #plain(): Expression {
    return this.#pick.chance(0.7) ? this.attribute('STRING') : this.#entry()
  }

  #entry(): Expression {
    const key = this.#pick.chance(0.85) ? constant(this.#pick.of(this.#vocabulary.keys)) : this.attribute('STRING')
    return { is: 'entry', map: this.#nameOf('STRING_MAP'), key }
  }

  /** What may stand before `|`; in `pick` a name of one word would always be there. */
  #optional(): Expression {
    if (this.#pick.chance(0.3)) return this.#entry()
    return this.#dialect === 'CEXL' || this.#pick.chance(0.2)
      ? this.attribute('STRING')
      : { is: 'attribute', name: this.#choose(dottedOf(this.#vocabulary)), type: 'STRING' }
  }

  /** Mostly one of the first two, so that requests that differ in little differ in what counts. */
  #nameOf(type: AttributeType): string {
    const names = namesOf(this.#vocabulary, type)
    const [first, second = first] = names
    return this.#choose(this.#pick.chance(0.5) ? [first, second] : names)
  }

  #choose(names: readonly [string, ...string[]]): string {
    const [first = 'a', ...others] = names.filter(
      // CEL takes attributes for fields, and a text has none.
      (name) => !this.#hidden(name) && (this.#dialect === 'CEXL' || name !== 'p.q'),
    )
    return this.#pick.of([first, ...others])
  }
}

/** Attributes of more than one word that CEL can ask for and be told that they are absent. */
function dottedOf(vocabulary: Vocabulary): readonly [string, ...string[]] {
  const [first = '', ...others] = namesOf(vocabulary, 'STRING').filter((name) => name.includes('.') && name !== 'p.q')
  return [first, ...others]
}
