// What the settings choose of how reports are taken.

import { DEFAULT_REPORT_ACKS, REPORT_DOORS, type ReportAck, type ReportAcks } from '../kernel/services.ts'

/** Whether any door promises what only replicas of Redis can keep. */
export function promisesReplicas(chosen: readonly string[]): boolean {
  return Object.values(reportAcks(chosen)).includes('replicated')
}

const ALL_DOORS = ''

/** What each door promises. @param chosen items such as `queued`, for all doors, and `mixer=memory`, which stand above it. */
export function reportAcks(chosen: readonly string[]): ReportAcks {
  const choices = new Map<string, string>()
  for (const item of chosen) {
    const at = item.indexOf('=')
    choices.set(at < 0 ? ALL_DOORS : item.slice(0, at), item.slice(at + 1))
  }
  const acks = REPORT_DOORS.map((door) => {
    return [door, (choices.get(door) ?? choices.get(ALL_DOORS) ?? DEFAULT_REPORT_ACKS[door]) as ReportAck]
  })
  return Object.fromEntries(acks) as ReportAcks
}
