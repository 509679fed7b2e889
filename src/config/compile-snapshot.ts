// Compiles a config at once and without a memory: for commands, which serve nobody meanwhile.

import type { CompileSnapshotOptions } from './compile-context.ts'
import type { LoadedConfig } from './parse-text.ts'
import { atOnce } from './slices.ts'
import { type CompiledConfig, SnapshotCompiler } from './snapshot-compiler.ts'

/** Compiles a loaded config as a whole. Never throws; the same documents give the same snapshot id. */
export function compileSnapshot(loaded: LoadedConfig, options: CompileSnapshotOptions): CompiledConfig {
  return atOnce(new SnapshotCompiler(options).compile(loaded))
}
