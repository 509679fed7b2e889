// The functions of the ABI for headers.

import { HostViolation, MapType, Result } from './abi.ts'
import type { HeaderLine } from './header-lines.ts'
import { marshalPairs, unmarshalPairs } from './pairs.ts'
import type { ProxyWasmVm } from './vm.ts'

/** The lines that a module has marshalled. */
export function linesOf(bytes: Buffer): readonly HeaderLine[] {
  const pairs = unmarshalPairs(bytes)
  if (pairs === undefined) throw new HostViolation('pairs that cannot be read: Envoy takes them for none')
  return pairs.map(([name, value]): HeaderLine => [latin1(name), latin1(value)])
}

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')

export function headerFunctions(vm: ProxyWasmVm) {
  const { OK, BAD_ARGUMENT, INVALID_MEMORY_ACCESS, NOT_FOUND } = Result
  const given = (isGiven: boolean) => (isGiven ? OK : INVALID_MEMORY_ACCESS)
  const isNoType = (type: number) => type >>> 0 > MapType.LAST
  return {
    proxy_add_header_map_value(type: number, nameAt: number, nameSize: number, valueAt: number, valueSize: number) {
      if (isNoType(type)) return BAD_ARGUMENT
      const [name, value] = [vm.memory.text(nameAt, nameSize), vm.memory.text(valueAt, valueSize)]
      if (name === undefined || value === undefined) return INVALID_MEMORY_ACCESS
      const map = vm.calling().mutableMap(type)
      map?.add(name, value)
      return map === undefined ? BAD_ARGUMENT : OK
    },
    proxy_get_header_map_value(type: number, nameAt: number, nameSize: number, pointerAt: number, sizeAt: number) {
      if (isNoType(type)) return BAD_ARGUMENT
      const name = vm.memory.text(nameAt, nameSize)
      if (name === undefined) return INVALID_MEMORY_ACCESS
      const context = vm.calling()
      const map = context.map(type)
      if (map === undefined) return context.isLogging ? NOT_FOUND : BAD_ARGUMENT
      const value = map.get(name)
      return value === undefined ? NOT_FOUND : given(vm.memory.give(Buffer.from(value, 'latin1'), pointerAt, sizeAt))
    },
    proxy_replace_header_map_value(type: number, nameAt: number, nameSize: number, valueAt: number, valueSize: number) {
      if (isNoType(type)) return BAD_ARGUMENT
      const [name, value] = [vm.memory.text(nameAt, nameSize), vm.memory.text(valueAt, valueSize)]
      if (name === undefined || value === undefined) return INVALID_MEMORY_ACCESS
      const map = vm.calling().mutableMap(type)
      map?.replace(name, value)
      return map === undefined ? BAD_ARGUMENT : OK
    },
    proxy_remove_header_map_value(type: number, nameAt: number, nameSize: number) {
      if (isNoType(type)) return BAD_ARGUMENT
      const name = vm.memory.text(nameAt, nameSize)
      if (name === undefined) return INVALID_MEMORY_ACCESS
      const map = vm.calling().mutableMap(type)
      map?.remove(name)
      return map === undefined ? BAD_ARGUMENT : OK
    },
    proxy_get_header_map_pairs(type: number, pointerAt: number, sizeAt: number) {
      if (isNoType(type)) return BAD_ARGUMENT
      const lines = vm.calling().map(type)?.lines ?? []
      const pairs = lines.map(([name, value]) => [Buffer.from(name, 'latin1'), Buffer.from(value, 'latin1')] as const)
      return given(vm.memory.give(pairs.length === 0 ? Buffer.alloc(0) : marshalPairs(pairs), pointerAt, sizeAt))
    },
    proxy_set_header_map_pairs(type: number, pointer: number, size: number) {
      if (isNoType(type)) return BAD_ARGUMENT
      const bytes = vm.memory.read(pointer, size)
      if (bytes === undefined) return INVALID_MEMORY_ACCESS
      const map = vm.calling().mutableMap(type)
      map?.set(linesOf(bytes))
      return map === undefined ? BAD_ARGUMENT : OK
    },
    proxy_get_header_map_size(type: number, at: number) {
      if (isNoType(type)) return BAD_ARGUMENT
      const map = vm.calling().mutableMap(type)
      return map === undefined ? BAD_ARGUMENT : given(vm.memory.word(at, map.byteSize))
    },
  }
}
