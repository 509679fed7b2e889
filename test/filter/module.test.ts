import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { filterModule } from '../helpers/filter-module.ts'

/** What hosts of proxy-wasm ABI 0.2.1 have, and Envoy has, for a module of ours. */
const HOST = /^(?:env\.proxy_[a-z_]+|wasi_snapshot_preview1\.(?:clock_time_get|random_get))$/

interface Module {
  readonly exports: readonly string[]
  readonly imports: readonly string[]
}

/** Names of what a module has for its host and asks of it. Neither Node's types nor our libraries declare WebAssembly. */
function moduleOf(path: string): Module {
  interface Named {
    readonly module?: string
    readonly name: string
  }
  interface Reader {
    new (bytes: Uint8Array): object
    exports(module: object): readonly Named[]
    imports(module: object): readonly Named[]
  }
  const { Module: reader } = (globalThis as unknown as { WebAssembly: { Module: Reader } }).WebAssembly
  const module = new reader(readFileSync(path))
  return {
    exports: reader.exports(module).map(({ name }) => name),
    imports: reader.imports(module).map((each) => `${each.module}.${each.name}`),
  }
}

describe('the module that runs inside Envoy', () => {
  let path: string
  beforeAll(async () => {
    path = await filterModule()
  })

  it('says which ABI it is made for, and asks nothing else of its host', () => {
    const { exports, imports } = moduleOf(path)
    expect(exports).toContain('proxy_abi_version_0_2_1')
    expect(imports.filter((each) => !HOST.test(each))).toEqual([])
  })

  it('is small, and says nothing of the machine that it was compiled on', () => {
    const bytes = readFileSync(path)
    expect(bytes.length).toBeLessThan(256 * 1024)
    expect(bytes.toString('latin1')).not.toContain(process.cwd())
    expect(bytes.toString('utf16le')).not.toContain(process.cwd())
  })

  it('is compiled from its sources as they are, with what is planted in them', async () => {
    const planted = await filterModule((path, text) =>
      path === 'assembly/index.ts' ? `${text}\nexport function planted(): void {}` : text,
    )
    expect(moduleOf(planted).exports).toContain('planted')
    await expect(filterModule((_, text) => `${text} }`)).rejects.toThrow('the filter cannot be compiled')
  })
})
