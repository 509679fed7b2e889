// Which handlers of a config a process must run.

import type { Variety } from '../adapter-kit/templates.ts'
import type { HandlerConfig, Snapshot } from '../config/snapshot.ts'

/** The handlers that rules use with instances of these varieties, each once. */
export function handlersOf(snapshot: Snapshot, varieties: ReadonlySet<Variety>): readonly HandlerConfig[] {
  const found = new Map<string, HandlerConfig>()
  for (const rule of snapshot.rules) {
    for (const { handler, instances } of rule.actions) {
      if (instances.some((instance) => varieties.has(instance.template.variety))) found.set(handler.name, handler)
    }
  }
  return [...found.values()]
}
