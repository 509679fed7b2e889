// The part of Node's WebAssembly that tests use: neither Node's types nor our libraries declare it.

declare namespace WebAssembly {
  type Import = (...given: readonly never[]) => unknown
  interface Named {
    readonly name: string
    readonly kind: string
  }
  class Module {
    constructor(bytes: Uint8Array)
    static imports(module: Module): readonly (Named & { readonly module: string })[]
    static exports(module: Module): readonly Named[]
  }
  class Memory {
    readonly buffer: ArrayBuffer
  }
  class Instance {
    readonly exports: Readonly<Record<string, unknown>>
    constructor(module: Module, imports: Readonly<Record<string, Readonly<Record<string, Import>>>>)
  }
  class RuntimeError extends Error {}
}
