// A real Open Policy Agent for tests.

import { freePort } from './ports.ts'
import { spawnChild } from './process.ts'

/** A running OPA server without policies. */
export interface OpaServer {
  readonly url: string
  /** Loads or replaces a Rego module. */
  putPolicy(id: string, rego: string): Promise<void>
  stop(): Promise<void>
}

/** Starts a server on a free port of the loopback interface. */
export async function startOpa(binary: string): Promise<OpaServer> {
  const port = await freePort()
  const child = await spawnChild(binary, ['run', '--server', '--disable-telemetry', '--addr', `127.0.0.1:${port}`])
  await child.waitForPort(port)
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    putPolicy: async (id, rego) => {
      const response = await fetch(`${url}/v1/policies/${id}`, { method: 'PUT', body: rego })
      if (!response.ok) throw new Error(`OPA refused the policy: ${await response.text()}`)
    },
    stop: async () => {
      await child.stop()
    },
  }
}
