// The thread that examines a config before nodes use it.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { parentPort, workerData } from 'node:worker_threads'
import { builtInAdapters } from '../src/adapters/index.ts'
import { loadAdapters } from '../src/adapters/load.ts'
import { examine } from '../src/rollout/preflight/examine.ts'
import { refusal } from '../src/rollout/preflight/preflight-report.ts'
import type { ThreadMessage, ThreadStart } from '../src/rollout/preflight/thread-messages.ts'

// What a config takes is what is left when all else has been collected.
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const { request, progress } = workerData as ThreadStart
const current = new Int32Array(progress)
// oxlint-disable-next-line require-post-message-target-origin -- a thread has no origin
const say = (message: ThreadMessage) => parentPort?.postMessage(message)

const { adapters: spec, adaptersFrom: from } = request.compile
const adapters = await loadAdapters(spec, { from, known: builtInAdapters() }).catch((error: Error) => error)
if (adapters instanceof Error) say({ type: 'done', outcome: refusal('unavailable', adapters.message) })
else {
  say({ type: 'ready' })
  const outcome = examine(request, adapters, {
    monotonic: () => performance.now(),
    processorMs() {
      const { user, system } = process.threadCpuUsage()
      return (user + system) / 1_000
    },
    memory() {
      collect()
      return process.memoryUsage().heapUsed
    },
    named: (rules) => say({ type: 'named', rules }),
    entered: (place) => Atomics.store(current, 0, place),
  })
  say({ type: 'done', outcome })
}
