// A module's memory, as the host reaches it: nothing outside is read or written.

/** Calls the module for memory. @returns a pointer; 0 where it has none */
export type Allocate = (size: number) => number

export class VmMemory {
  readonly #memory: WebAssembly.Memory
  readonly #allocate: Allocate

  constructor(memory: WebAssembly.Memory, allocate: Allocate) {
    this.#memory = memory
    this.#allocate = allocate
  }

  /** A copy; `undefined` where it is not all within the memory. */
  read(pointer: number, size: number): Buffer | undefined {
    const [from, length] = [pointer >>> 0, size >>> 0]
    if (from + length > this.size) return undefined
    return Buffer.from(Buffer.from(this.#memory.buffer, from, length))
  }

  /** A text that is a byte string. */
  text(pointer: number, size: number): string | undefined {
    return this.read(pointer, size)?.toString('latin1')
  }

  write(pointer: number, bytes: Uint8Array): boolean {
    const from = pointer >>> 0
    if (from + bytes.length > this.size) return false
    new Uint8Array(this.#memory.buffer, from, bytes.length).set(bytes)
    return true
  }

  word(pointer: number, value: number): boolean {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value >>> 0)
    return this.write(pointer, bytes)
  }

  long(pointer: number, value: bigint): boolean {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value))
    return this.write(pointer, bytes)
  }

  /** Gives bytes to the module: in memory that it allocates, with pointer and size where it wants them. */
  give(bytes: Uint8Array, pointerAt: number, sizeAt: number): boolean {
    let pointer = 0
    if (bytes.length > 0) {
      pointer = this.#allocate(bytes.length) >>> 0
      if (pointer === 0 || !this.write(pointer, bytes)) return false
    }
    return this.word(pointerAt, pointer) && this.word(sizeAt, bytes.length)
  }

  /** In bytes. */
  get size(): number {
    return this.#memory.buffer.byteLength
  }
}
