// Memory for one callback. The host asks for memory of the module for all that it hands over, and nobody keeps that: it is taken
// from one block, and begins anew with each callback. Nothing is collected on the way of a request.

/** A block holds the headers of a usual request many times. */
const BLOCK: usize = 256 * 1024

let block: usize = 0
let used: usize = 0
/** Blocks of their own, for what is larger. */
let large: usize = 0

/** Begins a callback: what was handed over before is gone. */
export function begin(): void {
  used = 0
  while (large !== 0) {
    const next = load<usize>(large)
    heap.free(large)
    large = next
  }
}

/** How far memory has been taken: what is taken later may go by `release` before the callback ends. */
export class Mark {
  private readonly used: usize = used
  private readonly large: usize = large

  release(): void {
    while (large !== this.large) {
      const next = load<usize>(large)
      heap.free(large)
      large = next
    }
    used = this.used
  }
}

/** Memory until the next callback begins. */
export function take(size: usize): usize {
  const rounded = (size + 15) & ~15
  if (rounded > BLOCK - used) {
    const own = heap.alloc(rounded + 16)
    store<usize>(own, large)
    large = own
    return own + 16
  }
  if (block === 0) block = heap.alloc(BLOCK)
  const at = block + used
  used += rounded
  return at
}
