// The catalogue: every adapter that comes with Intermix, by the name that `compiledAdapter` gives.

import type { AnyAdapter } from '../adapter-kit/define-adapter.ts'
import denier from './denier/index.ts'
import http from './http/index.ts'
import kubernetesenv from './kubernetesenv/index.ts'
import listchecker from './listchecker/index.ts'
import memquota from './memquota/index.ts'
import noop from './noop/index.ts'
import opa from './opa/index.ts'
import prometheus from './prometheus/index.ts'
import quota from './quota/index.ts'
import redisquota from './redisquota/index.ts'
import stdio from './stdio/index.ts'

const ADAPTERS: readonly AnyAdapter[] = [
  denier,
  http,
  kubernetesenv,
  listchecker,
  memquota,
  noop,
  opa,
  prometheus,
  quota,
  redisquota,
  stdio,
]

/** A new map of the built-in adapters by name. */
export function builtInAdapters(): ReadonlyMap<string, AnyAdapter> {
  return new Map(ADAPTERS.map((adapter) => [adapter.name, adapter]))
}
