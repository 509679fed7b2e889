// The transport that the tests of gRPC doors run on: vitest.config.ts runs them once for each.
import { loadTransport, type Transport } from '../../src/server/grpc-transport.ts'
import { SETTINGS } from '../../src/settings/settings-table.ts'

const transport = (process.env['INTERMIX_TRANSPORT'] ?? SETTINGS.transport.default) as Transport

export const createGrpcServer = await loadTransport(transport)
