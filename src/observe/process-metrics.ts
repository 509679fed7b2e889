// The metrics of the process itself, as prom-client's `collectDefaultMetrics` adds them. Its parts are imported one by one: its index
// loads TLS, child processes and the OpenTelemetry API, 5 MB of memory for what is not used here.

import type { Registry } from 'prom-client'
import Counter from 'prom-client/lib/counter.js'
import addLoopLag from 'prom-client/lib/metrics/eventLoopLag.js'
import addCollections from 'prom-client/lib/metrics/gc.js'
import addHeap from 'prom-client/lib/metrics/heapSizeAndUsed.js'
import addHeapSpaces from 'prom-client/lib/metrics/heapSpacesSizeAndUsed.js'
import addMemory from 'prom-client/lib/metrics/osMemoryHeap.js'
import addHandles from 'prom-client/lib/metrics/processHandles.js'
import addMaxFiles from 'prom-client/lib/metrics/processMaxFileDescriptors.js'
import addFiles from 'prom-client/lib/metrics/processOpenFileDescriptors.js'
import addRequests from 'prom-client/lib/metrics/processRequests.js'
import addResources from 'prom-client/lib/metrics/processResources.js'
import addStartTime from 'prom-client/lib/metrics/processStartTime.js'
import addVersion from 'prom-client/lib/metrics/version.js'

const PARTS = [
  addStartTime,
  addMemory,
  addFiles,
  addMaxFiles,
  addLoopLag,
  addResources,
  addHandles,
  addRequests,
  addHeap,
  addHeapSpaces,
  addVersion,
  addCollections,
]
/** In ms. */
const LOOP_PRECISION = 10

/** Adds processor time, memory, files, event loop and garbage collection, under the names that dashboards for Node know. */
export function addProcessMetrics(registry: Registry): void {
  addProcessorTime(registry)
  for (const add of PARTS) add(registry, { eventLoopMonitoringPrecision: LOOP_PRECISION })
}

/** prom-client's own loads the OpenTelemetry API, for exemplars. */
function addProcessorTime(registry: Registry): void {
  const registers = [registry]
  let last = process.cpuUsage()
  const user = new Counter({
    name: 'process_cpu_user_seconds_total',
    help: 'Total user CPU time spent in seconds.',
    registers,
    // Sets all three.
    collect() {
      const { user: inUser, system: inSystem } = process.cpuUsage(last)
      last = { user: last.user + inUser, system: last.system + inSystem }
      user.inc(inUser / 1e6)
      system.inc(inSystem / 1e6)
      both.inc((inUser + inSystem) / 1e6)
    },
  })
  const system = new Counter({
    name: 'process_cpu_system_seconds_total',
    help: 'Total system CPU time spent in seconds.',
    registers,
  })
  const both = new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Total user and system CPU time spent in seconds.',
    registers,
  })
}
