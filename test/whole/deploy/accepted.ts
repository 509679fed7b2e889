// What Envoy says of a bootstrap.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { filterModule } from '../../helpers/filter-module.ts'
import { spawnChild } from '../../helpers/process.ts'
import { findTool } from '../../helpers/tools.ts'

/** Where the compose file has the module of the filter. */
const MODULE = '/run/intermix/intermix.wasm'

/** Has Envoy validate a bootstrap, with the module of this checkout. */
export async function expectAccepted(bootstrap: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'intermix-envoy-'))
  try {
    const path = join(folder, 'envoy.yaml')
    writeFileSync(path, bootstrap.replaceAll(MODULE, await filterModule()))
    const child = await spawnChild(findTool('envoy') ?? '', ['--mode', 'validate', '-c', path])
    expect((await child.exited).code, child.output()).toBe(0)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
