// The functions of the ABI for gRPC: whoever calls, it is the root context that has the call.

import { HostViolation, Result } from './abi.ts'
import type { GrpcClient } from './grpc-client.ts'
import { linesOf } from './header-functions.ts'
import type { ProxyWasmVm } from './vm.ts'

export function grpcFunctions(vm: ProxyWasmVm) {
  const client = (): GrpcClient => {
    const { grpc } = vm.calling().root
    if (grpc === undefined) throw new HostViolation('gRPC without a root context')
    return grpc
  }
  const later = (action: () => void) => vm.after(action)
  const started = (outcome: { readonly token: number } | Result, tokenAt: number): Result => {
    if (typeof outcome === 'number') return outcome
    return vm.memory.word(tokenAt, outcome.token) ? Result.OK : Result.INVALID_MEMORY_ACCESS
  }
  const pathOf = (service: Buffer, method: Buffer) => `/${service.toString('latin1')}/${method.toString('latin1')}`
  return {
    proxy_grpc_call(
      targetAt: number,
      targetSize: number,
      serviceAt: number,
      serviceSize: number,
      methodAt: number,
      methodSize: number,
      metadataAt: number,
      metadataSize: number,
      requestAt: number,
      requestSize: number,
      timeoutMs: number,
      tokenAt: number,
    ) {
      const target = vm.memory.read(targetAt, targetSize)
      const service = vm.memory.read(serviceAt, serviceSize)
      const method = vm.memory.read(methodAt, methodSize)
      const metadata = vm.memory.read(metadataAt, metadataSize)
      const request = vm.memory.read(requestAt, requestSize)
      if (!target || !service || !method || !metadata || !request) return Result.INVALID_MEMORY_ACCESS
      linesOf(metadata)
      const asked = { request, timeoutMs: timeoutMs >>> 0 }
      return started(client().call(target, pathOf(service, method), asked, later), tokenAt)
    },
    proxy_grpc_stream(
      targetAt: number,
      targetSize: number,
      serviceAt: number,
      serviceSize: number,
      methodAt: number,
      methodSize: number,
      metadataAt: number,
      metadataSize: number,
      tokenAt: number,
    ) {
      const target = vm.memory.read(targetAt, targetSize)
      const service = vm.memory.read(serviceAt, serviceSize)
      const method = vm.memory.read(methodAt, methodSize)
      const metadata = vm.memory.read(metadataAt, metadataSize)
      if (!target || !service || !method || !metadata) return Result.INVALID_MEMORY_ACCESS
      linesOf(metadata)
      return started(client().stream(target, pathOf(service, method), later), tokenAt)
    },
    proxy_grpc_send(token: number, messageAt: number, messageSize: number, isLast: number) {
      const message = vm.memory.read(messageAt, messageSize)
      return message === undefined ? Result.INVALID_MEMORY_ACCESS : client().send(token, message, isLast !== 0)
    },
    proxy_grpc_close: (token: number) => client().close(token),
    proxy_grpc_cancel: (token: number) => client().cancel(token),
  }
}
