// Servers that read one config file: started from a template on a free port, with a directory of their own.
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { freePort } from './ports.ts'
import { type Child, spawnChild } from './process.ts'

/** A running server in front of an upstream. */
export interface ConfiguredServer {
  readonly port: number
  readonly url: string
  readonly child: Child
  stop(): Promise<void>
}

type Replacements = Readonly<Record<string, string>>

export interface ConfiguredServerOptions {
  readonly binary: string
  /** Path of the shipped config. */
  readonly template: string
  /** What is put in the place of addresses of the shipped config; each must occur in it. `PORT` and `DIRECTORY` are filled in. */
  readonly replacements: Replacements
  /** Further shipped files that are put beside the config, by name. */
  readonly beside?: Readonly<Record<string, { readonly template: string; readonly replacements: Replacements }>>
  args(configPath: string, directory: string): readonly string[]
  readonly env?: (directory: string) => Readonly<Record<string, string>>
}

/** Writes the config with the test's addresses, starts the server and waits for its port. */
export async function startConfiguredServer(options: ConfiguredServerOptions): Promise<ConfiguredServer> {
  const port = await freePort()
  const directory = await mkdtemp(join(tmpdir(), 'intermix-proxy-'))
  // Started as root, nginx works as another user and needs to reach its directory.
  await chmod(directory, 0o777)
  const path = join(directory, `config${extname(options.template)}`)
  await writeFile(path, await fill(options, port, directory))
  for (const [name, file] of Object.entries(options.beside ?? {}))
    await writeFile(join(directory, name), await fill(file, port, directory))
  const child = await spawnChild(options.binary, options.args(path, directory), { env: options.env?.(directory) ?? {} })
  await child.waitForPort(port)
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    child,
    async stop() {
      await child.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function fill(
  options: Pick<ConfiguredServerOptions, 'template' | 'replacements'>,
  port: number,
  directory: string,
): Promise<string> {
  let text = await readFile(options.template, 'utf8')
  for (const [place, value] of Object.entries(options.replacements)) {
    if (!text.includes(place)) throw new Error(`${options.template} does not contain ${place}`)
    text = text.replaceAll(place, value.replaceAll('PORT', String(port)).replaceAll('DIRECTORY', directory))
  }
  return text
}
