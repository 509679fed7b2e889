// What sidecars have paid ahead, or leased, of each counter, and what became of it: nothing is used that was not paid for, nor in
// another window than it was paid in.

interface Sums {
  bought: number
  used: number
}

interface Account extends Sums {
  windowMs: number
  returned: number
  readonly windows: Map<number, Sums>
}

/** A window of a counter, or `undefined` where nothing was counted: a handler failed, and its rule is open. */
export type Window = { readonly window: number; readonly windowMs: number } | undefined

/** By who holds it, and of which counter. */
export class Accounts {
  readonly #accounts = new Map<string, Account>()

  buy(name: string, amount: number, bought: Window): void {
    let account = this.#accounts.get(name)
    if (account === undefined) {
      account = { windowMs: Number.POSITIVE_INFINITY, bought: 0, used: 0, returned: 0, windows: new Map() }
      this.#accounts.set(name, account)
    }
    account.bought += amount
    if (bought === undefined) return
    account.windowMs = bought.windowMs
    sumsOf(account, bought.window).bought += amount
  }

  /**
   * @param at when; `undefined` for what was not counted in a window
   * @returns what is wrong with it; `undefined` where nothing is
   */
  use(name: string, amount: number, at: number | undefined): string | undefined {
    if (amount === 0) return undefined
    const account = this.#accounts.get(name)
    if (account === undefined) return `${amount} are used of ${name}, and none were paid for`
    account.used += amount
    if (at === undefined) return problemOf(name, account)
    const sums = sumsOf(account, Math.floor(at / account.windowMs))
    sums.used += amount
    if (sums.used > sums.bought)
      return `${sums.used} are used of ${name} in one window, and ${sums.bought} were paid for in it`
    return problemOf(name, account)
  }

  giveBack(name: string, amount: number): string | undefined {
    const account = this.#accounts.get(name)
    if (account === undefined) return `${amount} are given back of ${name}, and none were paid for`
    account.returned += amount
    return problemOf(name, account)
  }
}

function sumsOf({ windows }: Account, window: number): Sums {
  let sums = windows.get(window)
  if (sums === undefined) windows.set(window, (sums = { bought: 0, used: 0 }))
  return sums
}

function problemOf(name: string, { bought, used, returned }: Account): string | undefined {
  if (used + returned <= bought) return undefined
  return `${used} are used of ${name} and ${returned} given back, and ${bought} were paid for`
}
