// What V8 says of its collections with --trace-gc.

/** One collection: `pauseMs` is how long it stopped everything at once. */
export interface Collection {
  readonly kind: string
  readonly atMs: number
  readonly pauseMs: number
  readonly heapMiB: number
}

const LINE =
  /^\[\d+:0x[\da-f]+\]\s+(?<at>\d+) ms: (?<kind>[A-Z][\w-]*)[^\d]* (?<heap>[\d.]+) \([\d.]+\) -> .*? MB, (?:pooled: [\d.]+ MB, )?(?<pause>[\d.]+) \/ /

/** Reads what a process writes, bit by bit, and keeps the collections among it. */
export class GcTrace {
  readonly collections: Collection[] = []
  #rest = ''

  take(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      const found = LINE.exec(line)?.groups
      if (found === undefined) continue
      const { at, kind = '', heap, pause } = found
      this.collections.push({ kind, atMs: Number(at), pauseMs: Number(pause), heapMiB: Number(heap) })
    }
  }
}
