// Adapters that name instances in their params (`instance_name` of a metric, `name` of a quota) cannot know whether
// such an instance exists, and what is reported under another name is lost without a word. So the whole config is asked.

import { type ConfigNode, type MapNode, type ScalarNode, toPlain } from './config-node.ts'
import { camelCase } from './fields.ts'
import { resolve } from './names.ts'
import type { ConfigObject } from './objects.ts'
import type { ProblemList } from './problem-list.ts'
import type { Sliced } from './slices.ts'

const QUOTA_NAME = /\.quotas\[\d+\]\.name$/

/** Warns of params that mention an instance which does not exist, or not by its full name. */
export function* warnOfInstanceMentions(
  objects: readonly ConfigObject[],
  instances: ReadonlyMap<string, unknown>,
  problems: ProblemList,
): Sliced<void> {
  const shortNames = new Set<string>()
  for (const name of instances.keys()) {
    // A quota may be called by any leading part of its name, as long as it ends at a dot.
    for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) shortNames.add(name.slice(0, dot))
  }
  for (const { role, spec, namespace } of objects) {
    if (spec === undefined || (role.role !== 'handler' && role.role !== 'rule')) continue
    yield
    for (const node of mentionsIn(spec)) {
      if (instances.has(node.text)) continue
      // Quotas may go by the short name, which is also what callers ask for.
      const isQuota = QUOTA_NAME.test(node.path)
      if (isQuota && shortNames.has(node.text)) continue
      const found = resolve(node.text, 'instance', namespace, instances)
      const hint = 'fullName' in found ? ` Write its full name, "${found.fullName}".` : found.hint
      const what = isQuota ? 'name' : 'full name'
      problems.warn(node, 'unknown-instance', `no instance has the ${what} "${node.text}".${hint}`)
    }
  }
}

const MENTIONS = new WeakMap<MapNode, readonly ScalarNode[]>()

function mentionsIn(spec: MapNode): readonly ScalarNode[] {
  let found = MENTIONS.get(spec)
  if (found === undefined) MENTIONS.set(spec, (found = collectMentions(spec)))
  return found
}

function collectMentions(node: ConfigNode): readonly ScalarNode[] {
  if (node.kind === 'scalar') return []
  if (node.kind === 'list') return node.items.flatMap(collectMentions)
  return node.entries.flatMap(({ key, value }) => {
    const isMention = camelCase(key) === 'instanceName' || (key === 'name' && QUOTA_NAME.test(value.path))
    if (isMention && value.kind === 'scalar' && typeof toPlain(value) === 'string') return [value]
    return collectMentions(value)
  })
}
