// The rows of the bench: which door of which server, and beside which echo.

import { SETTINGS } from '../../src/settings/settings-table.ts'
import type { DoorName } from './doors.ts'

export interface BenchRow {
  readonly name: string
  readonly door: DoorName
  readonly server: string
  /** The row that it is compared with; none for echoes. */
  readonly beside?: string
  /** Checks under way. */
  readonly inFlight: number
}

const USUAL = 64
/** A sidecar puts into one batch what its proxies ask in one turn of its loop: so many more wait at a node. */
const BATCHED = 1_024

const HTTP_ECHO: BenchRow = { name: 'Fastify echo', door: 'http', server: 'echo:fastify', inFlight: USUAL }
const GRPC_ECHO: BenchRow = { name: 'grpc-js echo', door: 'ext_authz', server: 'echo:grpc-js', inFlight: USUAL }
const GRPC_DOORS = {
  mixer: 'Mixer Check',
  ext_authz: 'ext_authz',
  rls: 'rate limit service',
  batch: 'batch stream',
} as const

/** Every door on every transport. */
export const BENCH_ROWS: readonly BenchRow[] = [
  HTTP_ECHO,
  { name: '`POST /v1/check`', door: 'http', server: 'node', beside: HTTP_ECHO.name, inFlight: USUAL },
  GRPC_ECHO,
  ...SETTINGS.transport.choices.flatMap((transport) =>
    Object.entries(GRPC_DOORS).map(([door, name]) => ({
      name: `${name}, ${transport}`,
      door: door as keyof typeof GRPC_DOORS,
      server: `node --transport ${transport}`,
      beside: GRPC_ECHO.name,
      inFlight: door === 'batch' ? BATCHED : USUAL,
    })),
  ),
]
