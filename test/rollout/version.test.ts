// Versions: what they are called, what they may hold, and how they are packed.

import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readVersionFolder } from '../../src/rollout/read-folder.ts'
import { packFiles, unpackFiles } from '../../src/rollout/version-blob.ts'
import { type ConfigFile, VERSION_BOUNDS, versionId, versionProblems } from '../../src/rollout/version.ts'

const path = fc.stringMatching(/^[a-z0-9_]{1,8}(\/[a-z0-9_]{1,8})?\.yaml$/)
const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', '\ufeffa', 'a\r\nb', '\\"\u2028'))
const files = fc.uniqueArray(fc.record({ path, text }), { selector: (file) => file.path, minLength: 1, maxLength: 6 })

describe('the id of a version', () => {
  it('follows from its files, in whatever order', () => {
    fc.assert(
      fc.property(files, fc.infiniteStream(fc.nat()), (some, order) => {
        const keys = new Map(some.map((file) => [file, order.next().value]))
        expect(versionId(some.toSorted((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0)))).toBe(versionId(some))
      }),
    )
  })

  it('is another one for other files', () => {
    fc.assert(
      fc.property(files, files, (some, others) => {
        const told = (list: readonly ConfigFile[]) =>
          JSON.stringify(
            list.map((file) => JSON.stringify([file.path, file.text])).toSorted((a, b) => (a < b ? -1 : 1)),
          )
        expect(versionId(some) === versionId(others)).toBe(told(some) === told(others))
      }),
    )
    expect(versionId([{ path: 'ab', text: 'c' }])).not.toBe(versionId([{ path: 'a', text: 'bc' }]))
  })

  it('stays what it was in other releases', () => {
    expect(
      versionId([
        { path: 'a.yaml', text: 'ä\n' },
        { path: 'b.yaml', text: '' },
      ]),
    ).toBe('3830d6b544faa0610d1c260284779437d3782e7605395acbf8d55f161860da08')
  })
})

describe('a packed version', () => {
  it('is what it was', async () => {
    await fc.assert(
      fc.asyncProperty(files, async (some) => {
        const unpacked = await unpackFiles(await packFiles(some), versionId(some))
        expect(new Map(unpacked.map((file) => [file.path, file.text]))).toEqual(
          new Map(some.map((file) => [file.path, file.text])),
        )
      }),
    )
  })

  it('is refused where it is damaged, holds another version or expands without end', async () => {
    const some = [{ path: 'a.yaml', text: 'a' }]
    const blob = await packFiles(some)
    const refused = (bytes: Uint8Array, id = versionId(some)) =>
      expect(unpackFiles(bytes, id)).rejects.toMatchObject({ code: 'INVALID_CONFIG' })
    await refused(blob, versionId([{ path: 'a.yaml', text: 'b' }]))
    await refused(blob.subarray(0, -4))
    await refused(Buffer.from('no gzip'))
    for (const json of ['', '{}', '[["a"]]', '[["a",1]]', 'null']) await refused(gzipSync(json))
    await refused(gzipSync(Buffer.alloc(3 * VERSION_BOUNDS.bytes)))
  })

  it('is bounded, and leads out of no folder', async () => {
    expect(versionProblems([])).toEqual(['a version has at least one file'])
    const odd = ['', '/etc/passwd', '../a', 'a/../b', 'a//b', './a', 'a\\b', 'a\0', 'x'.repeat(600)]
    expect(versionProblems(odd.map((name) => ({ path: name, text: '' })))).toHaveLength(odd.length)
    const twice = { path: 'a', text: '' }
    expect(versionProblems([twice, twice])).toEqual(['"a": two files have this path'])
    const large = [{ path: 'a', text: 'x'.repeat(VERSION_BOUNDS.bytes + 1) }]
    await expect(packFiles(large)).rejects.toMatchObject({ code: 'TOO_LARGE' })
    const many = Array.from({ length: VERSION_BOUNDS.files + 1 }, (_, n) => ({ path: `${n}`, text: '' }))
    expect(versionProblems(many)[0]).toContain('at most 1000')
  })
})

describe('the version that a folder holds', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'intermix-version-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  it('has the files that a node reads', async () => {
    await writeFile(join(folder, 'b.yml'), 'b')
    await writeFile(join(folder, '.hidden.yaml'), 'h')
    await writeFile(join(folder, 'notes.txt'), 'n')
    await mkdir(join(folder, 'sub.yaml'))
    await symlink(join(folder, 'b.yml'), join(folder, 'a.json'))
    expect(await readVersionFolder(folder)).toEqual([
      { path: 'a.json', text: 'b' },
      { path: 'b.yml', text: 'b' },
    ])
  })

  it('tells all that cannot be read', async () => {
    await writeFile(join(folder, 'a.yaml'), Buffer.from([0xff]))
    await symlink('nowhere', join(folder, 'b.yaml'))
    await expect(readVersionFolder(folder)).rejects.toThrow(/a\.yaml: .*\n.*b\.yaml: /)
    await expect(readVersionFolder(join(folder, 'none'))).rejects.toThrow(/cannot be read/)
  })
})
