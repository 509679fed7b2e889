// Whom the driver asks: Intermix nodes through their HTTP API, or a policy backend directly.

import { Pool } from 'undici'
import type { Reply } from './driver.ts'
import { pathOf } from './oracle.ts'

export interface Target {
  ask(key: number): Promise<Reply>
  close(): Promise<void>
}

export interface TargetOptions {
  /** Who waits longer than this has no decision. */
  readonly deadlineMs: number
  /** Connections to each server. Default 64. */
  readonly connections?: number
}

/** Google's code of a denial in earnest. Every other code but OK says that there was no decision. */
const PERMISSION_DENIED = '7'

/** The service whose backend decides on a key. */
export function serviceOf(key: number, services: number): string {
  return `service-${key % services}`
}

/** Asks the nodes in turn. `services` is the number of policy backends behind them. */
export function intermixTarget(urls: readonly string[], services: number, options: TargetOptions): Target {
  const pools = urls.map((url) => poolFor(url, options))
  let turn = 0
  return {
    async ask(key) {
      const pool = pools[turn++ % pools.length]
      if (pool === undefined) return { decision: 'none', error: 'no node' }
      const attributes = { 'request.path': pathOf(key), 'destination.service.name': serviceOf(key, services) }
      const { headers, body, statusCode } = await pool.request({
        path: '/v1/check',
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ attributes, timeoutMs: options.deadlineMs }),
      })
      const code = headers['x-intermix-status']
      const tier = textOf(headers['x-intermix-tier'])
      if (code === '0' || code === PERMISSION_DENIED) {
        await body.dump()
        return { decision: code === '0' ? 'allow' : 'deny', tier, ageMs: Number(headers['x-intermix-age-ms']) }
      }
      return { decision: 'none', tier, error: `HTTP ${statusCode}: ${(await body.text()).slice(0, 200)}` }
    },
    close: () => closeAll(pools),
  }
}

/** Asks the backend that is in charge of the key. */
export function backendTarget(urls: readonly string[], options: TargetOptions): Target {
  const pools = urls.map((url) => poolFor(new URL(url).origin, options))
  const paths = urls.map((url) => new URL(url).pathname)
  return {
    async ask(key) {
      const index = key % pools.length
      const pool = pools[index]
      if (pool === undefined) return { decision: 'none', error: 'no backend' }
      const { statusCode, body } = await pool.request({
        path: paths[index] ?? '/',
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ fields: { value: pathOf(key) } }),
      })
      await body.dump()
      if (statusCode === 200) return { decision: 'allow' }
      return statusCode === 403 ? { decision: 'deny' } : { decision: 'none', error: `HTTP ${statusCode}` }
    },
    close: () => closeAll(pools),
  }
}

function poolFor(url: string, { deadlineMs, connections = 64 }: TargetOptions): Pool {
  return new Pool(url, {
    connections,
    // A server that never answers ends here.
    headersTimeout: deadlineMs + 1_000,
    bodyTimeout: deadlineMs + 1_000,
    connect: { timeout: deadlineMs + 1_000 },
  })
}

async function closeAll(pools: readonly Pool[]): Promise<void> {
  await Promise.all(pools.map((pool) => pool.destroy()))
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header
}
