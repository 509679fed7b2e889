// The settings of one of several processes of a node: its name, and its part of what bounds the node as a whole.

import type { Settings } from './settings.ts'
import type { SettingSpec } from './setting-spec.ts'
import { SETTINGS } from './settings-table.ts'

/** As long as a name may be, its number included. */
const MAX_NAME = 63

/** What each process of a node is called: other nodes and processes know it by that. */
export function processName(nodeId: string, process: number): string {
  const suffix = `-${process}`
  return nodeId.slice(0, MAX_NAME - suffix.length) + suffix
}

/** Settings for one process: numbers that bound the node are shared out evenly, rounded up. */
export function processSettings(settings: Settings, process: number): Settings {
  const table: Readonly<Record<string, SettingSpec>> = SETTINGS
  const parts = Object.entries(settings).map(([key, value]) => {
    const shared = table[key]?.ofNode === true && typeof value === 'number'
    return [key, shared ? Math.ceil(value / settings.processes) : value]
  })
  return { ...(Object.fromEntries(parts) as Settings), process, nodeId: processName(settings.nodeId, process) }
}
