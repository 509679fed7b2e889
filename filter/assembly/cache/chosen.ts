// Rules to which a config leads requests.

import { Bytes } from '../bytes/bytes'
import { ShapeTree } from './shape-tree'

/** The answers of a set of rules: it outlives a config, as far as the next one has the same rules. */
export class Scope {
  readonly tree: ShapeTree = new ShapeTree()

  constructor(readonly name: Bytes) {}
}

export class Chosen {
  constructor(
    readonly scope: Scope,
    /** Those that the rules can call. */
    readonly handlers: Array<Bytes>,
    /** Attributes that the node found by itself. */
    readonly generated: Array<Bytes>,
    /** Whether each of the rules lets pass what it cannot decide. */
    readonly failsOpen: bool,
  ) {}

  /** What it takes of memory, roughly, in bytes. */
  get bytes(): i32 {
    return 100 + sizeOf(this.handlers) + sizeOf(this.generated)
  }
}

function sizeOf(names: Array<Bytes>): i32 {
  let size = 0
  for (let i = 0; i < names.length; i++) size += 20 + names[i].length
  return size
}
