// The images that Dockerfile and compose file name, made on this machine from Debian's packages and from the programs
// that the tests have: the same names, the same commands, users and paths as the published ones.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'
import { findTool } from '../tools.ts'
import { run } from './run.ts'

type Podman = (args: readonly string[]) => Promise<string>

const BASE = 'localhost/intermix-base:bookworm'

/** What goes into an image beside the base system: files are put into `context`, the returned lines build on them. */
const RECIPES: Readonly<Record<string, (context: string) => Promise<string>>> = {
  'docker.io/library/node': nodeImage,
  'docker.io/library/redis': redisImage,
  'docker.io/envoyproxy/envoy': envoyImage,
  'docker.io/prom/prometheus': prometheusImage,
}

/** Makes those of the named images that are not there yet. */
export async function provideImages(podman: Podman, root: string, home: string): Promise<void> {
  for (const name of imagesOf(root)) {
    if (await exists(podman, name)) continue
    const recipe = RECIPES[name.slice(0, name.lastIndexOf(':'))]
    if (recipe === undefined) throw new Error(`no recipe for the image ${name}: add one to ${import.meta.filename}`)
    if (!(await exists(podman, BASE))) await makeBase(podman, home)
    const context = mkdtempSync(join(tmpdir(), 'intermix-image-'))
    try {
      writeFileSync(join(context, 'Dockerfile'), `FROM ${BASE}\n${await recipe(context)}`)
      await podman(['build', '--format', 'docker', '--tag', name, context])
    } finally {
      rmSync(context, { recursive: true })
    }
  }
}

function imagesOf(root: string): string[] {
  const compose = parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
    readonly services: Readonly<Record<string, { readonly image?: string; readonly build?: unknown }>>
  }
  const services = Object.values(compose.services).filter(({ build }) => build === undefined)
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')
  const named = [
    ...services.map(({ image }) => image ?? ''),
    ...[...dockerfile.matchAll(/^FROM (?!scratch )(\S+)/gm)].map((m) => m[1] ?? ''),
  ]
  return [...new Set(named.map(fullName))]
}

/** As engines complete a short name: `redis:7` is `docker.io/library/redis:7`. */
function fullName(name: string): string {
  return name.includes('/') ? `docker.io/${name}` : `docker.io/library/${name}`
}

async function exists(podman: Podman, name: string): Promise<boolean> {
  return await podman(['image', 'exists', name]).then(
    () => true,
    () => false,
  )
}

async function makeBase(podman: Podman, home: string): Promise<void> {
  console.log('making a Debian base image')
  const folder = join(home, 'base')
  rmSync(folder, { recursive: true, force: true })
  const mirror = (await run('apt-get', ['indextargets', '--format', '$(REPO_URI) $(RELEASE)', 'Created-By: Packages']))
    .split('\n')
    .find((line) => line.endsWith(' bookworm'))
    ?.split(' ')[0]
  if (mirror === undefined) throw new Error('apt-get knows no mirror of Debian bookworm')
  const packages = '--include=ca-certificates,redis-server'
  await run('debootstrap', ['--variant=minbase', packages, 'bookworm', folder, mirror])
  const archive = join(home, 'base.tar')
  await run('tar', ['-C', folder, '-cf', archive, '.'])
  await podman(['import', archive, BASE])
  rmSync(archive)
  rmSync(folder, { recursive: true })
}

/** The Node that runs this, with the npm beside it or on the path. */
async function nodeImage(context: string): Promise<string> {
  cpSync(process.execPath, join(context, 'node'))
  const command = realpathSync((await run('which', ['npm'])).trim())
  cpSync(dirname(dirname(command)), join(context, 'npm'), { recursive: true, dereference: true })
  return `COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && useradd --uid 1000 --create-home node
CMD ["node"]
`
}

/** The official image switches protected mode off, since a container has no other address to listen on. */
function redisImage(context: string): Promise<string> {
  writeFileSync(
    join(context, 'entrypoint'),
    '#!/bin/sh\n[ "$1" = redis-server ] && shift\nexec redis-server "$@" --protected-mode no --bind 0.0.0.0\n',
    { mode: 0o755 },
  )
  return Promise.resolve('COPY entrypoint /entrypoint\nWORKDIR /data\nVOLUME /data\nENTRYPOINT ["/entrypoint"]\n')
}

function envoyImage(context: string): Promise<string> {
  const envoy = findTool('envoy')
  if (envoy === undefined) throw new Error('no envoy for its image: see `npm test`')
  cpSync(realpathSync(envoy), join(context, 'envoy'))
  return Promise.resolve('COPY envoy /usr/local/bin/envoy\n')
}

async function prometheusImage(context: string): Promise<string> {
  const download = join(context, 'download')
  mkdirSync(download)
  await run('apt-get', ['download', 'prometheus'], { cwd: download })
  await run('sh', ['-c', `dpkg-deb --extract "${download}"/*.deb "${dirname(download)}/package"`])
  return `COPY package/usr/bin/prometheus /bin/prometheus
ENTRYPOINT ["/bin/prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
`
}
