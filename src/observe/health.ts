// Readiness: what the parts of a process say of themselves, by name. A process is ready when all of them are.

/** One readiness check as its part last set it. */
export interface HealthCheck {
  readonly name: string
  readonly ok: boolean
  /** Why it is not ready, or what it is ready with. */
  readonly detail: string
}

/** Named readiness checks. A process without any is not ready: nothing has spoken for it yet. */
export class Health {
  readonly #checks = new Map<string, HealthCheck>()

  /** Sets one check; names come from the program, not from input, so their number is bounded. */
  set(name: string, ok: boolean, detail: string): void {
    this.#checks.set(name, { name, ok, detail })
  }

  get ready(): boolean {
    if (this.#checks.size === 0) return false
    for (const check of this.#checks.values()) if (!check.ok) return false
    return true
  }

  /** All checks in the order in which they were first set. */
  checks(): readonly HealthCheck[] {
    return [...this.#checks.values()]
  }
}
