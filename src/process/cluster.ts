// Processes that share ports, by Node's cluster: the parent accepts connections and hands each to a process that is free.
// Why not by SO_REUSEPORT: docs/decisions/14-processes-by-cluster.md.

import cluster, { type Worker } from 'node:cluster'
import type { Channel } from './process-link.ts'
import type { ProcessEnd, SpawnedProcess } from './node-process.ts'

/** Whether this process is one that `spawnServingProcess` made. */
export const isServingProcess = cluster.isWorker

/** Creates a process that runs `program` and waits for its order. */
export function spawnServingProcess(program: string): SpawnedProcess {
  cluster.schedulingPolicy = cluster.SCHED_RR
  // Its settings come over the channel: passwords stay out of arguments and environment.
  cluster.setupPrimary({ exec: program, args: [], serialization: 'advanced' })
  const worker = cluster.fork()
  // What cannot be sent, and what cannot be created, shows in the end of the process.
  worker.on('error', () => {})
  return {
    pid: worker.process.pid,
    channel: channelTo(worker),
    ended: endOf(worker),
    kill: (signal) => worker.process.kill(signal),
  }
}

/** The channel of a serving process to its parent. From now on it ends in good order when its parent has gone. */
export function parentChannel(): Channel {
  // Else Node ends it at once.
  if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true
  return {
    send: (message) => {
      if (process.connected) process.send?.(message, undefined, undefined, () => {})
    },
    onMessage: (listener) => process.on('message', listener),
  }
}

function channelTo(worker: Worker): Channel {
  return {
    send: (message) => {
      if (worker.isConnected()) worker.process.send(message, undefined, undefined, () => {})
    },
    onMessage: (listener) => worker.on('message', listener),
  }
}

function endOf(worker: Worker): Promise<ProcessEnd> {
  return new Promise((resolve) => {
    worker.once('exit', (code: number | null, signal: string | null) =>
      resolve({ code: code ?? undefined, signal: signal ?? undefined }),
    )
    worker.process.once('error', () => {
      if (worker.process.pid === undefined) resolve({ code: undefined, signal: undefined })
    })
  })
}
