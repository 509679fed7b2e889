// A set of keys in a fixed amount of memory. It forgets where two keys share a place: good enough for what only steers.

const PLACES = 16_384

/** Marks keys, which are hashes as text. Of two keys with one place the later is kept; 64 kB, whatever is marked. */
export class KeyMarks {
  readonly #tags = new Uint32Array(PLACES)

  has(key: string): boolean {
    const tag = tagOf(key)
    return this.#tags[tag % PLACES] === tag
  }

  add(key: string): void {
    const tag = tagOf(key)
    this.#tags[tag % PLACES] = tag
  }

  delete(key: string): void {
    const tag = tagOf(key)
    if (this.#tags[tag % PLACES] === tag) this.#tags[tag % PLACES] = 0
  }

  clear(): void {
    this.#tags.fill(0)
  }
}

/** FNV-1a over the first characters: a key is a hash already. Never 0, which is the empty place. */
function tagOf(key: string): number {
  let hash = 0x81_1c_9d_c5
  for (let i = 0; i < 12 && i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01_00_01_93)
  return (hash ^ (hash >>> 15)) >>> 0 || 1
}
