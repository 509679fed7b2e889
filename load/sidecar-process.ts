// A sidecar as a black box: the real command before nodes.

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Running, start } from './processes.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

export interface SidecarProcess {
  readonly httpUrl: string
  readonly grpcAddress: string
  readonly adminUrl: string
  readonly child: Running
}

export interface SidecarOptions {
  /** Addresses of the nodes' gRPC doors. */
  readonly nodes: readonly string[]
  /** Where it listens for gRPC; a free port of 127.0.0.1 unless given. */
  readonly grpcAddress?: string
  /** Further flags of the command. */
  readonly flags?: readonly string[]
  /** What Node is given before the command: flags of its own and the program. The package's unless given. */
  readonly program?: readonly string[]
  /** The folder of the program, where it is not this one. */
  readonly root?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Starts it and waits until it listens. */
export async function startSidecar({
  nodes,
  grpcAddress = '127.0.0.1:0',
  flags = [],
  program = ['bin/intermix.js'],
  root = ROOT,
  env = {},
}: SidecarOptions): Promise<SidecarProcess> {
  const given = {
    '--nodes': nodes.join(','),
    '--grpc-address': grpcAddress,
    '--http-address': '127.0.0.1:0',
    '--admin-address': '127.0.0.1:0',
    '--log-format': 'json',
    '--shutdown-timeout': '1s',
  }
  const child = await start({
    command: process.execPath,
    args: [...program, 'sidecar', ...Object.entries(given).flat(), ...flags],
    cwd: root,
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'intermix-load-compile-cache'), ...env },
    ready: /"addresses":(\{[^}]*\})/,
  })
  const { grpc, http, admin } = JSON.parse(child.match[1] ?? '') as Readonly<Record<'grpc' | 'http' | 'admin', string>>
  return { httpUrl: `http://${http}`, grpcAddress: grpc, adminUrl: `http://${admin}`, child }
}
