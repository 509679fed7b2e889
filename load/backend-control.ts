// Starts policy backends and tells them when to fail.

import { fileURLToPath } from 'node:url'
import { start } from './processes.ts'

/** How a backend fails: it answers 503, refuses connections, never answers, answers late, or fails on some keys only. */
export type Fault =
  | { readonly kind: 'none' | 'error' | 'refuse' | 'hang' }
  | { readonly kind: 'poison'; readonly by: 'error' | 'hang' }
  | { readonly kind: 'slow'; readonly latencyMs: number }

/** One call as the backend noted it: who asked (the path it was called by), key, wall-clock ms, 1 where it answered. */
export type BackendCall = readonly [caller: string, path: string, at: number, answered: 0 | 1]

export interface Backend {
  readonly url: string
  readonly pid: number
  fail(fault: Fault): Promise<void>
  /** All calls so far, in the order in which they came. */
  calls(): Promise<readonly BackendCall[]>
  forget(): Promise<void>
  stop(): Promise<void>
}

export interface BackendOptions {
  /** Whole seconds for which a decision may be kept. */
  readonly validitySeconds: number
  readonly latencyMs?: number
}

/** Starts one backend on a free port. */
export async function startBackend({ validitySeconds, latencyMs = 0 }: BackendOptions): Promise<Backend> {
  const file = fileURLToPath(new URL('backend.ts', import.meta.url))
  const child = await start({
    command: process.execPath,
    args: [file, '--validity', String(validitySeconds), '--latency', String(latencyMs)],
    ready: /backend ready on (\d+) control (\d+)/,
  })
  const [, port, controlPort] = child.match
  const control = `http://127.0.0.1:${controlPort}`
  const post = async (path: string, body: unknown) => {
    const response = await fetch(`${control}${path}`, { method: 'POST', body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
  }
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid,
    fail: (fault) => post('/fault', fault),
    calls: async () => (await (await fetch(`${control}/calls`)).json()) as readonly BackendCall[],
    forget: () => post('/forget', {}),
    stop: () => child.stop(),
  }
}
