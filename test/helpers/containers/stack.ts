// The compose file as a running stack: its containers by service, and what a test does to them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from './run.ts'
import type { Engine } from './engine-shape.ts'

export interface Container {
  readonly name: string
  /** Its address in the stack's network, reachable from this machine. */
  readonly address: string
}

export interface Stack {
  /** Brings up what the file has. */
  up(): Promise<void>
  /** The running containers of a service. */
  containers(service: string): Promise<Container[]>
  kill(container: Container, signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>
  /** Starts a stopped container again. */
  start(container: Container): Promise<void>
  /** SIGTERM, and SIGKILL after the grace period of the compose file. */
  stop(container: Container): Promise<void>
  exitCode(container: Container): Promise<number>
  logs(container: Container): Promise<string>
  /** Removes containers, networks and volumes. */
  down(): Promise<void>
}

export interface StackOptions {
  /** Variables of the compose file. */
  readonly env: Readonly<Record<string, string>>
  /** How many of a service, where it is not one. */
  readonly scale: Readonly<Record<string, number>>
  /** Profiles of the compose file, beside what has none. */
  readonly profiles?: readonly string[]
}

/** A stack under a project name of its own, so that several can run beside each other. */
export function composeStack(engine: Engine, { env, scale, profiles = [] }: StackOptions): Stack {
  const project = `intermix-test-${process.pid}`
  const folder = mkdtempSync(join(tmpdir(), 'intermix-compose-'))
  // In a file, since podman-compose obeys only the last of several `--scale`.
  const override = join(folder, 'scale.yml')
  const services = Object.fromEntries(Object.entries(scale).map(([name, count]) => [name, { scale: count }]))
  writeFileSync(override, JSON.stringify({ services }))
  const files = ['--file', 'docker-compose.yml', '--file', override, ...profiles.flatMap((name) => ['--profile', name])]
  const compose = (...args: readonly string[]) => engine.compose([...files, '--project-name', project, ...args], env)
  const owned = ['--filter', `label=com.docker.compose.project=${project}`]
  const inspect = async (name: string, format: string) =>
    (await engine.container(['inspect', '--format', format, name])).trim()
  return {
    async up() {
      await compose('up', '--detach', '--no-build')
    },
    async containers(service) {
      const label = `label=com.docker.compose.service=${service}`
      const names = await engine.container(['ps', ...owned, '--filter', label, '--format', '{{.Names}}'])
      const address = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
      return await Promise.all(
        names
          .split('\n')
          .filter((name) => name !== '')
          .toSorted()
          .map(async (name) => ({ name, address: await inspect(name, address) })),
      )
    },
    async kill({ name }, signal = 'SIGKILL') {
      await engine.container(['kill', '--signal', signal, name])
    },
    async start({ name }) {
      await engine.container(['start', name])
    },
    async stop({ name }) {
      await engine.container(['stop', '--time', '15', name])
    },
    exitCode: async ({ name }) => Number(await inspect(name, '{{.State.ExitCode}}')),
    // What a container writes to standard error is part of what its log shows.
    logs: ({ name }) => run('sh', ['-c', 'exec "$0" logs "$1" 2>&1', engine.name, name], { env: engine.env }),
    async down() {
      await compose('down', '--volumes', '--timeout', '5')
      rmSync(folder, { recursive: true })
    },
  }
}
