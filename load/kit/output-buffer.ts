// Collects what a connection sends until it is written out at once.

const BLOCK_BYTES = 256 * 1024

/** Bytes go one after another into large blocks, which are never written to again once they are on their way. */
export class OutputBuffer {
  #block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
  #start = 0
  #end = 0

  /** Gives a buffer with room for `bytes` at `position`; `end` says how far it was used. */
  room(bytes: number): Buffer {
    if (this.#end + bytes > this.#block.length) {
      const next = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, this.#end - this.#start + bytes))
      this.#block.copy(next, 0, this.#start, this.#end)
      this.#end -= this.#start
      this.#start = 0
      this.#block = next
    }
    return this.#block
  }

  get position(): number {
    return this.#end
  }

  used(end: number): void {
    this.#end = end
  }

  add(bytes: Uint8Array): void {
    this.room(bytes.length).set(bytes, this.#end)
    this.#end += bytes.length
  }

  /** What was collected since the last time; empty where nothing was. */
  take(): Buffer {
    const taken = this.#block.subarray(this.#start, this.#end)
    this.#start = this.#end
    return taken
  }
}
