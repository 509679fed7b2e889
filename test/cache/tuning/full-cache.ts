/** Stands for a cache that is always full, as far as it has come to hold. */
export class Cache {
  readonly density = 1
  bytes: number
  #maxBytes: number

  constructor(maxBytes: number, bytes = maxBytes) {
    this.#maxBytes = maxBytes
    this.bytes = bytes
  }

  get maxBytes(): number {
    return this.#maxBytes
  }

  set maxBytes(bytes: number) {
    this.#maxBytes = bytes
    this.bytes = Math.min(this.bytes, bytes)
  }

  fill(): void {
    this.bytes = this.#maxBytes
  }
}
