// A server as one of the doors of a process: where it listens is the operator's choice.

import type { GrpcServer } from '../server/grpc-server.ts'
import type { HttpServer } from '../server/http.ts'
import { type Address, showAddress } from '../settings/option-kinds.ts'
import type { Settings } from '../settings/settings.ts'

export interface Door {
  /** @returns where it listens, as settings say it. */
  listen(): Promise<string>
  retire(): void
  drain(deadlineMs: number): Promise<void>
}

export function door(
  server: Pick<HttpServer, 'listen' | 'drain'> & Partial<Pick<GrpcServer, 'retire'>>,
  address: Address,
  { socketMode }: Pick<Settings, 'socketMode'>,
): Door {
  const mode = socketMode === undefined ? undefined : Number.parseInt(socketMode, 8)
  return {
    listen: async () => showAddress({ ...address, port: await server.listen({ ...address, mode }) }),
    retire: () => server.retire?.(),
    drain: (deadlineMs) => server.drain(deadlineMs),
  }
}
