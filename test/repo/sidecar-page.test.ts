// docs/sidecar.md names flags, metrics and folders that exist, and its samples are what they claim to be.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { CATALOGUE } from '../../src/kernel/metrics/catalogue.ts'
import { flagOf } from '../../src/settings/options.ts'
import { readSettings, settingsOf } from '../../src/settings/settings.ts'
import { ROLES } from '../../src/settings/setting-spec.ts'

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')
const page = read('docs/sidecar.md')
const memoryFlags = read('bin/memory-flags.js')
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, text = '']) => text)

describe('the page on sidecars', () => {
  it('names flags that exist', () => {
    const ofNode = [...memoryFlags.matchAll(/'(--[a-z-]+)/g)].map(([, flag = '']) => flag)
    const others = ['--help', '--profile', '--entrypoint', ...ofNode]
    const known = new Set([...others, ...ROLES.flatMap((role) => Object.keys(settingsOf(role)).map(flagOf))])
    const named = [...page.matchAll(/(?<![\w-])--[a-z][a-z0-9-]*/g)].map(([flag]) => flag)
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter((flag) => !known.has(flag))).toEqual([])
  })

  it('names metrics that exist', () => {
    const known = new Set(
      CATALOGUE.flatMap(({ metrics }) => Object.values(metrics).map(({ name }) => `intermix_${name}`)),
    )
    const named = [...page.matchAll(/`(intermix_[a-z_]*[a-z])/g)].map(([, name = '']) => name)
    expect(named.length).toBeGreaterThan(5)
    expect(named.filter((name) => !known.has(name))).toEqual([])
  })

  it('shows commands that can be run', () => {
    const commands = blocks('sh').flatMap((text) => text.trim().split('\n'))
    expect(commands.length).toBeGreaterThan(1)
    for (const command of commands) {
      const [, , role, ...argv] = command.split(' ')
      expect([command, role, 'settings' in readSettings('sidecar', argv, {})]).toEqual([command, 'sidecar', true])
    }
  })

  it('shows YAML that can be read', () => {
    const shown = blocks('yaml')
    expect(shown.length).toBe(4)
    for (const text of shown) for (const document of parseAllDocuments(text)) expect(document.errors).toEqual([])
  })
})
