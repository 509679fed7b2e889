// `intermix node`, `worker`, `all` and `sidecar`: settings from flags and variables, then the process itself.

import { readSettings, settingsOf } from '../settings/settings.ts'
import type { Role } from '../settings/setting-spec.ts'
import type { Command } from './command.ts'
import { EXIT } from './io.ts'

const EXAMPLES: Readonly<Record<Role, readonly string[]>> = {
  node: [
    'intermix node --config examples/quickstart --redis redis://127.0.0.1:6379',
    'intermix node --config redis://queue --config-cache /var/lib/intermix --redis redis://queue',
  ],
  worker: ['intermix worker --config examples/quickstart --redis redis://127.0.0.1:6379'],
  all: ['intermix all --config examples/quickstart'],
  sidecar: [
    'intermix sidecar --nodes node-1:9091,node-2:9091',
    'intermix sidecar --nodes dns:nodes.internal:9091 --grpc-address unix:/run/intermix/grpc',
  ],
}

/** The command that runs a role. */
export function roleCommand(role: Role): Command {
  return {
    usage: role === 'sidecar' ? '--nodes NODE,… [flags]' : '--config DIR|URL [flags]',
    options: settingsOf(role),
    notes: [
      'Durations have a unit (50ms, 10s, 1h30m), sizes may have one (64MiB). SIGTERM finishes what is in flight and ends; a second signal ends at once.',
    ],
    examples: EXAMPLES[role],
    async run(name, args, host) {
      const result = readSettings(role, args, host.env)
      if ('settings' in result) return await host.runRole(result.settings)
      for (const problem of result.problems) host.err(`intermix ${name}: ${problem}`)
      host.err(`intermix ${name} --help lists all settings.`)
      return EXIT.usage
    },
  }
}
