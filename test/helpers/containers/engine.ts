// The container engine of this machine: Docker where its engine runs; else, as root on Debian, podman with images that
// are made here, since such a machine may reach no registry of images.
import { existsSync } from 'node:fs'
import { containersRun } from '../redis-container.ts'
import type { Engine } from './engine-shape.ts'
import { preparePodman } from './podman.ts'
import { run } from './run.ts'

/** The engine, made ready; a sentence that says what is missing where there can be none. */
export async function containerEngine(root: string): Promise<Engine | { readonly missing: string }> {
  if (await containersRun()) return docker(root)
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
    return { missing: 'no container engine: start Docker, or run the tests as root on Debian' }
  }
  return await preparePodman(root)
}

function docker(root: string): Engine {
  return {
    name: 'docker',
    env: {},
    container: (args) => run('docker', args),
    compose: (args, env) => run('docker', ['compose', ...args], { cwd: root, env }),
    build: async () => {
      await run('docker', ['build', '--tag', 'intermix', root])
    },
  }
}
