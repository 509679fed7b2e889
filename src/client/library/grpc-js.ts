// Checks and reports gRPC calls with interceptors of grpc-js: those that a client makes, and those that a server gets.

import {
  InterceptingCall,
  type Interceptor,
  Metadata,
  ServerInterceptingCall,
  type ServerInterceptor,
  status as GrpcStatus,
  type StatusObject,
} from '@grpc/grpc-js'
import type { HeaderOperation } from '../../kernel/header-operation.ts'
import { Code, type Status } from '../../kernel/status.ts'
import { GrpcCall, type GrpcCallStart } from './grpc/grpc-call.ts'
import { changeMetadata } from './grpc/metadata.ts'
import { Guard, type GuardOptions, type Judgement } from './guard.ts'
import { currentTrace, traceOf, withTrace } from './trace-context.ts'

export type { GrpcCallStart } from './grpc/grpc-call.ts'
export type { GuardOptions } from './guard.ts'

export interface ClientInterceptorOptions extends GuardOptions<GrpcCallStart> {
  /**
   * Whether calls carry on the W3C trace context of the request for which they are made, where they have none; they do unless
   * told. Not for programs whose tracer does it, too.
   */
  readonly trace?: boolean
}

/** For a client's calls: `new GreeterClient(target, credentials, { interceptors: [clientInterceptor({ client })] })`. */
export function clientInterceptor(options: ClientInterceptorOptions): Interceptor {
  const guard = new Guard<GrpcCallStart>(options)
  const { trace = true, skip } = options
  return (callOptions, nextCall) => {
    const { path } = callOptions.method_definition
    const made = nextCall(callOptions)
    /** Ends the call while nobody has said yet whether it may be made. */
    let end: ((status: Status) => void) | undefined
    return new InterceptingCall(made, {
      start(metadata, listener, next) {
        if (trace) carryTrace(metadata)
        if (skip?.({ path, metadata }) === true) return next(metadata, listener)
        const call = new GrpcCall(guard, { path, metadata }, { direction: 'outbound', host: callOptions.host })
        let responseHeaders: readonly HeaderOperation[] = []
        const ended = (status: StatusObject) => {
          call.report(status)
          listener.onReceiveStatus(status)
        }
        end = ({ code, message }) => {
          end = undefined
          // Never before the caller has the call in its hands.
          process.nextTick(ended, { code: grpcStatus(code), details: message, metadata: new Metadata() })
        }
        const proceed = (judgement: Judgement) => {
          if (end === undefined) return
          if (!judgement.allowed) {
            end(judgement.status)
            return made.cancelWithStatus(grpcStatus(judgement.status.code), judgement.status.message)
          }
          end = undefined
          changeMetadata(metadata, judgement.result?.requestHeaders ?? [])
          responseHeaders = judgement.result?.responseHeaders ?? []
          next(metadata, {
            onReceiveMetadata(received, pass) {
              changeMetadata(received, responseHeaders)
              pass(received)
            },
            onReceiveStatus(status, pass) {
              call.report(status)
              pass(status)
            },
          })
        }
        const judgement = call.judge()
        if (judgement instanceof Promise) void judgement.then(proceed)
        else proceed(judgement)
      },
      cancel(next) {
        end?.({ code: Code.CANCELLED, message: 'Cancelled on client' })
        next()
      },
    })
  }
}

/** For a server's calls: `new Server({ interceptors: [serverInterceptor({ client })] })`. */
export function serverInterceptor(options: GuardOptions<GrpcCallStart>): ServerInterceptor {
  const guard = new Guard<GrpcCallStart>(options)
  return ({ path }, got) => {
    let call: GrpcCall | undefined
    let responseHeaders: readonly HeaderOperation[] = []
    let carried: <T>(work: () => T) => T = (work) => work()
    return new ServerInterceptingCall(got, {
      start(next) {
        next({
          onReceiveMetadata(metadata, pass) {
            const trace = traceOf((name) => textOf(metadata, name))
            carried = (work) => withTrace(trace, work)
            if (options.skip?.({ path, metadata }) === true) return carried(() => pass(metadata))
            const { remoteAddress } = got.getConnectionInfo()
            const begun = { direction: 'inbound', host: got.getHost(), client: remoteAddress } as const
            const current = new GrpcCall(guard, { path, metadata }, begun)
            call = current
            const proceed = (judgement: Judgement) => {
              responseHeaders = judgement.result?.responseHeaders ?? []
              if (!judgement.allowed) {
                const { code, message } = judgement.status
                current.report({ code, details: message })
                return got.sendStatus({ code: grpcStatus(code), details: message })
              }
              changeMetadata(metadata, judgement.result?.requestHeaders ?? [])
              carried(() => pass(metadata))
            }
            const judgement = current.judge()
            if (judgement instanceof Promise) void judgement.then(proceed)
            else proceed(judgement)
          },
          // The handler runs when its message is complete.
          onReceiveMessage: (message: unknown, pass) => carried(() => pass(message)),
          onReceiveHalfClose: (pass) => carried(pass),
        })
      },
      sendMetadata(metadata, next) {
        changeMetadata(metadata, responseHeaders)
        next(metadata)
      },
      sendStatus(status, next) {
        call?.report({ code: status.code ?? Code.UNKNOWN, details: status.details ?? '' })
        next(status)
      },
    })
  }
}

/** The codes of grpc-js are google.rpc.Code; what is none has no meaning there. */
function grpcStatus(code: number): GrpcStatus {
  return STATUSES.get(code) ?? GrpcStatus.UNKNOWN
}

const STATUSES: ReadonlyMap<number, GrpcStatus> = new Map(
  Object.values(GrpcStatus)
    .filter((value) => typeof value === 'number')
    .map((value) => [value, value]),
)

function carryTrace(metadata: Metadata): void {
  const trace = currentTrace()
  if (trace === undefined || metadata.get('traceparent').length > 0) return
  metadata.set('traceparent', trace.traceparent)
  if (trace.tracestate !== undefined) metadata.set('tracestate', trace.tracestate)
}

function textOf(metadata: Metadata, name: string): string | undefined {
  const [value] = metadata.get(name)
  return typeof value === 'string' ? value : undefined
}
