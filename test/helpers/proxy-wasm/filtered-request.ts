// One HTTP request that passes a filter, from its headers to its end, as Envoy's filter manager has it.

import { HostViolation } from './abi.ts'
import { Context, type FilteredStream, type LocalReply } from './context.ts'
import type { EventLoop } from './event-loop.ts'
import { type HeaderLine, HeaderLines } from './header-lines.ts'
import type { PropertyValue } from './property-value.ts'
import { type RequestFacts, requestProperty } from './request-properties.ts'
import type { ProxyWasmVm } from './vm.ts'

/** What came of a request so far. */
export type RequestState = 'deciding' | 'waiting' | 'continued' | 'replied' | 'reset' | 'over'

const CONTINUE = 0
/** Not one of the numbers that stop. */
const UNUSED_STATUS = 2
const LAST_STATUS = 4
const NEEDED = [':method', ':path', ':authority']

export interface ReplySeen {
  readonly status: number
  readonly body: string
  /** As the client gets them, without `:status`. */
  readonly headers: readonly HeaderLine[]
  readonly details: string
  readonly grpcStatus: number | undefined
}

export interface RequestOptions extends RequestFacts {
  readonly headers: Iterable<HeaderLine>
}

export class FilteredRequest implements FilteredStream {
  readonly filterState = new Map<string, Buffer>()
  readonly #vm: ProxyWasmVm | undefined
  readonly #loop: EventLoop
  readonly #context: Context
  readonly #facts: RequestFacts
  readonly #headers: HeaderLines
  readonly #startedAtMs: number
  readonly #onState: (request: FilteredRequest) => void
  #state: RequestState = 'deciding'
  #response: HeaderLines | undefined
  #reply: LocalReply | undefined
  #hasFailed = false
  /** While the module decides: until it has returned and Envoy knows what it wants. */
  #isBeingDecided = false

  /**
   * @param vm where none could be started requests fail
   * @param onState something has come of it
   */
  constructor(
    loop: EventLoop,
    { vm, root }: { readonly vm?: ProxyWasmVm; readonly root?: Context },
    given: RequestOptions & { readonly startedAtMs: number },
    onState: (request: FilteredRequest) => void,
  ) {
    this.#loop = loop
    this.#vm = vm
    this.#facts = given
    this.#headers = new HeaderLines(given.headers, true)
    this.#startedAtMs = given.startedAtMs
    this.#onState = onState
    this.#context = new Context(vm?.nextContextId() ?? 0, root, this)
    vm?.contexts.set(this.#context.id, this.#context)
  }

  get state(): RequestState {
    return this.#state
  }

  /** As they go on, or would. */
  get headers(): readonly HeaderLine[] {
    return this.#headers.lines
  }

  header(name: string): string | undefined {
    return this.#headers.get(name)
  }

  /** What the client gets without the upstream; `undefined` where there is no such reply. */
  get localReply(): ReplySeen | undefined {
    if (this.#reply === undefined || this.#response === undefined) return undefined
    const { status, body, details, grpcStatus } = this.#reply
    return {
      status,
      body: body.toString('utf8'),
      headers: this.#response.lines.filter(([name]) => name !== ':status'),
      details,
      grpcStatus: grpcStatus >= 0 && grpcStatus <= 16 ? grpcStatus : undefined,
    }
  }

  /** Whether the module trapped while it had the request. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  /** The request's headers reach the filter. */
  start(): void {
    if (this.#vm === undefined || this.#vm.isFailed) return this.#fail()
    const vm = this.#vm
    const context = this.#context
    vm.enter(() => vm.call(context, 'proxy_on_context_create', context.id, context.root.id))
    context.isCreated = true
    context.requestHeaders = this.#headers
    this.#isBeingDecided = true
    vm.enter(() => {
      const status = vm.call(context, 'proxy_on_request_headers', context.id, this.#headers.lines.length, 1)
      const isStopped = vm.stopsIteration || (status !== CONTINUE && status !== UNUSED_STATUS) || status > LAST_STATUS
      if (!vm.isFailed && this.#state === 'deciding') this.#move(isStopped ? 'waiting' : 'continued')
    })
    this.#isBeingDecided = false
    if (vm.isFailed) return this.#fail()
    if (this.#state === 'continued') this.#goOn()
  }

  continueRequest(): void {
    if (this.#state === 'over' || this.#state === 'reset') return
    // Envoy goes on at once, and stops then, as the module has told it to.
    if (this.#isBeingDecided) throw new HostViolation('a request goes on while its headers are at the filter')
    if (this.#state !== 'waiting') throw new HostViolation(`a request goes on that is ${this.#state}`)
    this.#move('continued')
    this.#goOn()
  }

  continueResponse(): void {
    throw new HostViolation('a response goes on that was not stopped')
  }

  reply(reply: LocalReply): void {
    if (this.#state === 'over' || this.#state === 'reset') return
    if (this.#state !== 'waiting' && this.#state !== 'deciding')
      throw new HostViolation(`a reply to a request that is ${this.#state}`)
    this.#answerHere(reply)
  }

  reset(): void {
    this.#move('reset')
  }

  property(name: string): PropertyValue | undefined {
    const { isLogging, requestHeaders, loggedRequest, responseHeaders, loggedResponse } = this.#context
    const known = {
      ...this.#facts,
      startedAtMs: this.#startedAtMs,
      requestHeaders: requestHeaders ?? (isLogging ? loggedRequest : undefined),
      responseHeaders: responseHeaders ?? (isLogging ? loggedResponse : undefined),
      responseCode: this.#responseCode(),
    }
    return requestProperty(name, known) ?? this.filterState.get(name)
  }

  /** The upstream answers. @returns the headers that the client gets */
  respond(headers: Iterable<HeaderLine>): readonly HeaderLine[] {
    if (this.#state !== 'continued') throw new Error(`an upstream answers what is ${this.#state}`)
    this.#loop.within(() => this.#encode(new HeaderLines(headers)))
    return this.#response?.lines ?? []
  }

  /** The client is gone, or has all: the module is told so, and the context goes. */
  finish(): void {
    if (this.#state === 'over') return
    const vm = this.#vm
    const context = this.#context
    this.#state = 'over'
    if (vm !== undefined) this.#loop.within(() => this.#end(vm, context))
  }

  #end(vm: ProxyWasmVm, context: Context): void {
    if (context.isCreated) {
      context.isLogging = true
      context.loggedRequest = this.#headers
      context.loggedResponse = this.#response
      vm.enter(() => vm.call(context, 'proxy_on_log', context.id))
      context.isLogging = false
      vm.enter(() => vm.call(context, 'proxy_on_done', context.id))
      vm.enter(() => vm.call(context, 'proxy_on_delete', context.id))
    }
    vm.contexts.delete(context.id)
  }

  #goOn(): void {
    this.#context.requestHeaders = undefined
    const missing = NEEDED.find((name) => this.#headers.get(name) === undefined)
    if (missing !== undefined) throw new HostViolation(`a request goes on without ${missing}`)
  }

  #answerHere(reply: LocalReply): void {
    this.#reply = reply
    this.#state = 'replied'
    const headers = new HeaderLines([[':status', String(reply.status)], ...reply.headers])
    if (reply.body.length > 0) {
      headers.replace('content-length', String(reply.body.length))
      if (headers.get('content-type') === undefined) headers.add('content-type', 'text/plain')
    } else {
      headers.remove('content-length')
      headers.remove('content-type')
    }
    this.#encode(headers)
    this.#move('replied')
  }

  /** Replies pass the filter as all responses do, but not those for its own failure. */
  #encode(headers: HeaderLines): void {
    this.#response = headers
    const vm = this.#vm
    const context = this.#context
    if (vm === undefined || !context.isCreated || this.#hasFailed) return
    context.responseHeaders = headers
    let status = CONTINUE
    vm.enter(() => {
      status = vm.call(context, 'proxy_on_response_headers', context.id, headers.lines.length, 0)
    })
    if (status !== CONTINUE) throw new HostViolation('a response is stopped, and nothing would let it go on')
    context.responseHeaders = undefined
  }

  #fail(): void {
    this.#hasFailed = true
    if (this.#state === 'replied') return
    this.#answerHere({ status: 503, details: 'wasm_fail_stream', body: Buffer.alloc(0), headers: [], grpcStatus: 14 })
  }

  #responseCode(): number | undefined {
    const status = this.#response?.get(':status')
    return status === undefined ? undefined : Number(status)
  }

  #move(state: RequestState): void {
    this.#state = state
    this.#onState(this)
  }
}
