// The filter that runs inside Envoy, compiled from its sources as they are. What was compiled once is kept under its sources' digest, so
// that processes of tests may all ask for it, also at the same time.
import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const filter = fileURLToPath(new URL('../../filter', import.meta.url))
const cache = fileURLToPath(new URL('../../node_modules/.cache/intermix/filter', import.meta.url))
const compiler = fileURLToPath(new URL('../../node_modules/assemblyscript', import.meta.url))

/** What is planted in a source. @param path as in `assembly/cache/entry.ts` */
export type ChangeSource = (path: string, text: string) => string

/** Whoever plants something wants it soon, and optimising takes nearly all the time. */
const PLANTED: readonly string[] = ['--optimizeLevel', '0']

/**
 * The path of the compiled module.
 * @param change plants defects in its sources; such a module is not optimised
 * @throws Error with what the compiler says
 */
export async function filterModule(change?: ChangeSource): Promise<string> {
  const paths = globSync('assembly/**/*.ts', { cwd: filter }).map((path) => path.replaceAll(sep, '/'))
  const sources = new Map(
    paths.toSorted().map((path) => {
      const text = readFileSync(join(filter, path), 'utf8')
      return [path, change === undefined ? text : change(path, text)]
    }),
  )
  const settings = [join(filter, 'asconfig.json'), join(compiler, 'package.json')].map((path) =>
    readFileSync(path, 'utf8'),
  )
  const options = change === undefined ? [] : PLANTED
  const digest = createHash('sha256')
    .update(JSON.stringify([...sources, ...settings, ...options]))
    .digest('hex')
  const path = join(cache, `${digest.slice(0, 32)}.wasm`)
  const lock = `${path}.lock`
  mkdirSync(cache, { recursive: true })
  while (!existsSync(path)) {
    if (!take(lock)) await setTimeout(PAUSE_MS)
    else {
      try {
        const own = `${path}.${process.pid}`
        writeFileSync(own, await compile(sources, options))
        renameSync(own, path)
      } finally {
        rmSync(lock, { force: true })
      }
    }
  }
  return path
}

/** Others wait for who compiles, as long as it lives: the compiler takes a processor for 13 s. */
const PAUSE_MS = 100

function take(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch {
    const holder = existsSync(lock) ? readFileSync(lock, 'utf8') : ''
    if (holder !== '' && !existsSync(`/proc/${holder}`)) rmSync(lock, { force: true })
    return false
  }
}

/** Of asc's API what is used here. Its own types change those of arrays everywhere. */
interface Compiler {
  main(
    args: readonly string[],
    host: {
      readFile(name: string, base: string): string | null
      writeFile(name: string, contents: Uint8Array | string): void
      readonly stderr: { write(chunk: Uint8Array | string): void }
    },
  ): Promise<{ readonly error: Error | null }>
}

async function compile(sources: ReadonlyMap<string, string>, options: readonly string[]): Promise<Uint8Array> {
  const asc = (await import(join(compiler, 'dist/asc.js'))) as Compiler
  let compiled: Uint8Array | undefined
  const args = ['--baseDir', filter, '--config', 'asconfig.json', '--outFile', 'filter.wasm', ...options]
  let said = ''
  const { error } = await asc.main(args, {
    readFile(name, base) {
      const path = join(base, name)
      return sources.get(name.replaceAll(sep, '/')) ?? (existsSync(path) ? readFileSync(path, 'utf8') : null)
    },
    writeFile(_, contents) {
      if (typeof contents !== 'string') compiled = contents
    },
    stderr: { write: (chunk) => void (said += String(chunk)) },
  })
  if (error === null && compiled !== undefined) return compiled
  throw new Error(`the filter cannot be compiled: ${error?.message ?? 'nothing came of it'}\n${said}`)
}
