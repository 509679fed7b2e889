// Podman on a Debian machine without a Docker engine, which may itself be a container: packages, a configuration and a
// storage of its own, a runtime that does without control groups, and the images that Dockerfile and compose file name.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { toolCache } from '../tools.ts'
import type { Engine } from './engine-shape.ts'
import { provideImages } from './images.ts'
import { run } from './run.ts'

/** runc, because crun refuses machines with both versions of control groups; iptables, because netavark needs it. */
const PACKAGES = ['podman', 'runc', 'netavark', 'aardvark-dns', 'iptables', 'uidmap', 'debootstrap', 'python3-venv']
const COMPOSE_VERSION = '1.6.0'
const CERTIFICATES = '/etc/ssl/certs'

/** Installs what is missing and makes the images; a second call finds everything there. */
export async function preparePodman(root: string): Promise<Engine> {
  await installPackages()
  const home = toolCache('containers')
  mkdirSync(home, { recursive: true })
  const env = configure(home)
  const podman = (args: readonly string[]) => run('podman', args, { env })
  const compose = await installCompose()
  await provideImages(podman, root, home)
  return {
    name: 'podman',
    env,
    container: podman,
    compose: (args, extra) => run(compose, args, { cwd: root, env: { ...env, ...extra } }),
    build: async () => {
      const mounts = (await npmMounts(home)).flatMap((mount) => ['--volume', mount])
      await podman(['build', '--format', 'docker', '--network', 'host', '--tag', 'intermix', ...mounts, root])
    },
  }
}

/** Debian's packages that containers need and this machine lacks. */
export async function missingPodmanPackages(): Promise<string[]> {
  const missing: string[] = []
  for (const name of PACKAGES) {
    const state = await run('dpkg-query', ['-W', '-f', '${Status}', name]).catch(() => '')
    if (!state.includes('ok installed')) missing.push(name)
  }
  return missing
}

async function installPackages(): Promise<void> {
  const missing = await missingPodmanPackages()
  if (missing.length === 0) return
  console.log(`installing ${missing.join(', ')}`)
  await run('apt-get', ['update', '-qq'])
  await run('apt-get', ['install', '-qq', '-y', '--no-install-recommends', ...missing])
}

/** A storage and a runtime of the tests' own, so that what the user has in podman is neither seen nor touched. */
function configure(home: string): Readonly<Record<string, string>> {
  const wrapper = join(home, 'runc')
  const script = fileURLToPath(new URL('runc-wrapper.mjs', import.meta.url))
  writeFileSync(wrapper, `#!/bin/sh\nexec '${process.execPath}' '${script}' "$@"\n`, { mode: 0o755 })
  const engine = join(home, 'containers.conf')
  writeFileSync(
    engine,
    `[engine]\nruntime = "runc"\nevents_logger = "file"\n[engine.runtimes]\nrunc = ["${wrapper}"]\n`,
  )
  const storage = join(home, 'storage.conf')
  writeFileSync(
    storage,
    `[storage]\ndriver = "overlay"\ngraphroot = "${join(home, 'storage')}"\nrunroot = "${join(home, 'run')}"\n`,
  )
  return { CONTAINERS_CONF: engine, CONTAINERS_STORAGE_CONF: storage }
}

async function installCompose(): Promise<string> {
  const home = toolCache(`podman-compose-${COMPOSE_VERSION}`)
  const command = join(home, 'bin/podman-compose')
  if (!existsSync(command)) {
    await run('python3', ['-m', 'venv', '--clear', home])
    await run(join(home, 'bin/pip'), ['install', '--quiet', `podman-compose==${COMPOSE_VERSION}`])
  }
  return command
}

/** How this machine's npm reaches its registry: the image's npm is told the same. */
async function npmMounts(home: string): Promise<string[]> {
  const registry = (await run('npm', ['config', 'get', 'registry'])).trim()
  const config = join(home, 'npmrc')
  writeFileSync(config, `registry=${registry}\ncafile=${CERTIFICATES}/ca-certificates.crt\n`)
  return [`${config}:/usr/local/etc/npmrc:ro`, `${CERTIFICATES}:${CERTIFICATES}:ro`]
}
