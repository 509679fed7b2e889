// Keys of a mesh for tests, in files of their own.

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { type MeshKeyChoices, MeshKeys } from '../../src/cache/mesh-keys.ts'
import { FakeClock } from '../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

const folder = mkdtempSync(join(tmpdir(), 'intermix-keys-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

/** A key of 32 bytes, the same one for the same name. */
export function meshKey(name: string): string {
  return createHash('sha256').update(name).digest('base64')
}

/** A file that its user alone may read. */
export function keyFile(text: string): string {
  const path = join(folder, `${++files}.keys`)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

/** A node's keys: those of these names, the first one signs. */
export function meshKeys(
  names: readonly string[],
  choices: Partial<MeshKeyChoices> & { readonly prefix?: string } = {},
) {
  const file = keyFile(`${names.map(meshKey).join('\n')}\n`)
  const [clock, log, meter] = [new FakeClock(), new KeptLog(), new ReadableMeter()]
  const chosen = { file, mode: 'require', encrypts: false, prefix: 'test', ...choices } as const
  const keys = new MeshKeys({ ...chosen, clock, log, meter })
  const refused = (kind: string, reason: string) => meter.value('mesh_refused_total', kind, reason)
  return { keys, clock, log, meter, refused, file: chosen.file }
}
