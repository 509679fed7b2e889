// What handlers say of an instance without anybody being asked: those that need nothing but their params are computed by
// copies of their own, of others a verdict is used that is cached already.

import type { AnyHandler, CallContext } from '../../adapter-kit/define-adapter.ts'
import type { Instance } from '../../adapter-kit/instance.ts'
import { checkResultProblem } from '../../adapter-kit/results.ts'
import { templatesOf } from '../../adapter-kit/templates.ts'
import type { HandlerConfig } from '../../config/snapshot.ts'
import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import type { Clock, Random } from '../../kernel/ports.ts'
import type { Verdict } from '../../kernel/verdict.ts'
import { barrenEnvironment } from './barren-environment.ts'

/** `open`: it is not known what the handler would say. */
export type DryVerdict = 'allow' | 'deny' | 'unknown' | 'open'

export interface DryHandlersOptions {
  readonly clock: Clock
  readonly random: Random
  /** A verdict that is cached in this process and fresh; looking has no effect. */
  cached(handler: HandlerConfig, instance: Instance, bag: AttributeBag): Verdict | undefined
}

/** Copies that are kept: those of two versions of a config. */
const MAX_COPIES = 2_000
/** In-process handlers answer at once. */
const PATIENCE_MS = 1_000

interface Copy {
  readonly code: AnyHandler
  /** Whether it has asked for something outside of the process. */
  isOpen: boolean
}

export class DryHandlers {
  readonly #options: DryHandlersOptions
  readonly #copies = new Map<string, Copy>()

  constructor(options: DryHandlersOptions) {
    this.#options = options
  }

  verdict(handler: HandlerConfig, instance: Instance, bag: AttributeBag): DryVerdict {
    if (handler.adapter.doesIo) return this.#options.cached(handler, instance, bag)?.kind ?? 'open'
    const copy = this.#copyOf(handler)
    if (copy.isOpen) return 'open'
    const verdict = this.#ask(copy, handler, instance)
    return copy.isOpen ? 'open' : verdict
  }

  /** Lets go of all copies. */
  clear(): void {
    this.#copies.clear()
  }

  #ask(copy: Copy, handler: HandlerConfig, instance: Instance): DryVerdict {
    const methods = copy.code.check
    const method = methods?.[instance.template]
    const template = templatesOf(handler.adapter).get(instance.template)
    if (method === undefined || template === undefined) return 'unknown'
    const deadline = this.#options.clock.monotonic() + PATIENCE_MS
    const context: CallContext = { deadline, signal: new AbortController().signal }
    try {
      const result = method.call(methods, instance, context)
      if (result instanceof Promise) {
        copy.isOpen = true
        result.catch(() => undefined)
        return 'open'
      }
      if (checkResultProblem(result) !== undefined) return 'unknown'
      return result.status.code === 0 ? 'allow' : 'deny'
    } catch {
      return 'unknown'
    }
  }

  #copyOf(handler: HandlerConfig): Copy {
    const id = `${handler.name}\n${handler.digest}`
    let copy = this.#copies.get(id)
    if (copy === undefined) {
      copy = this.#make(handler)
      if (this.#copies.size >= MAX_COPIES) this.#copies.clear()
      this.#copies.set(id, copy)
    }
    return copy
  }

  #make(handler: HandlerConfig): Copy {
    let wants = false
    const made: { copy?: Copy } = {}
    const environment = barrenEnvironment(handler.name, this.#options, () => {
      wants = true
      if (made.copy !== undefined) made.copy.isOpen = true
    })
    let code: AnyHandler = {}
    try {
      code = handler.adapter.create(handler.params, environment)
    } catch {
      wants = true
    }
    // What has to be started fetches something first.
    made.copy = { code, isOpen: wants || code.start !== undefined }
    return made.copy
  }
}
