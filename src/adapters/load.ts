// Adapters of others: modules named by the operator, loaded at start and checked before they are used.

import { readdir, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { adapterProblems } from '../adapter-kit/adapter-shape.ts'
import type { AnyAdapter } from '../adapter-kit/define-adapter.ts'
import { knownTemplates, templatesOf } from '../adapter-kit/templates.ts'
import { IntermixError, messageOf } from '../kernel/errors.ts'
import { shareKit } from './share-kit.ts'

export interface LoadAdaptersOptions {
  /** Folder that relative paths count from. */
  readonly from: string
  /** Adapters that exist already: their names are taken. */
  readonly known: ReadonlyMap<string, AnyAdapter>
}

const MODULE_FILE = /(?<!\.d)\.(?:m?js|m?ts)$/

/**
 * Loads the adapters of a comma-separated list of package names, files and folders (all modules directly in them) and
 * gives them together with the known ones. A module's default export is an adapter or an array of adapters.
 * Rejects with `INVALID_SETTING`, naming every module at fault and what is wrong with it.
 */
export async function loadAdapters(
  spec: string,
  options: LoadAdaptersOptions,
): Promise<ReadonlyMap<string, AnyAdapter>> {
  const all = new Map(options.known)
  const origins = new Map<string, string>()
  const problems: string[] = []
  const entries = spec
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
  if (entries.length > 0) shareKit()
  for (const entry of entries) {
    const modules = await modulesOf(entry, options.from, problems)
    for (const { label, url } of modules) {
      for (const adapter of await adaptersOf(label, url, problems)) {
        const taken = all.has(adapter.name)
        const owner = origins.get(adapter.name) ?? 'a built-in adapter'
        problems.push(...foreignTemplates(adapter, all).map((name) => `${label}: ${name}`))
        if (taken) problems.push(`${label}: the name "${adapter.name}" is taken by ${owner}`)
        else {
          all.set(adapter.name, adapter)
          origins.set(adapter.name, label)
        }
      }
    }
  }
  if (problems.length > 0)
    throw new IntermixError('INVALID_SETTING', `adapters cannot be loaded:\n${problems.join('\n')}`)
  return all
}

interface Module {
  readonly label: string
  readonly url: string
}

async function modulesOf(entry: string, from: string, problems: string[]): Promise<readonly Module[]> {
  const path = resolve(from, entry)
  const found = await stat(path).catch(() => undefined)
  if (found?.isFile() === true) return [{ label: entry, url: pathToFileURL(path).href }]
  if (found?.isDirectory() === true) {
    const names = (await readdir(path)).filter((name) => MODULE_FILE.test(name)).sort()
    if (names.length === 0) problems.push(`${entry}: the folder holds no module (.js, .mjs, .ts or .mts)`)
    return names.map((name) => ({ label: `${entry}/${name}`, url: pathToFileURL(resolve(path, name)).href }))
  }
  if (/^[./]/.test(entry) || MODULE_FILE.test(entry)) {
    problems.push(`${entry}: there is no such file or folder (relative paths count from ${from})`)
    return []
  }
  return [{ label: entry, url: resolvePackage(entry, from) }]
}

// A package is looked up from the operator's folder first: that is where it was installed.
function resolvePackage(name: string, from: string): string {
  try {
    return pathToFileURL(createRequire(resolve(from, 'index.js')).resolve(name)).href
  } catch {
    return name
  }
}

async function adaptersOf(label: string, url: string, problems: string[]): Promise<readonly AnyAdapter[]> {
  let exported: unknown
  try {
    const module = (await import(url)) as { readonly default?: unknown }
    exported = module.default
  } catch (error) {
    problems.push(`${label}: ${importFailure(error)}`)
    return []
  }
  if (exported === undefined) {
    problems.push(`${label}: has no default export; export default defineAdapter({...})`)
    return []
  }
  const candidates: readonly unknown[] = Array.isArray(exported) ? exported : [exported]
  return candidates.filter((candidate, index): candidate is AnyAdapter => {
    const wrong = adapterProblems(candidate)
    const place = candidates.length > 1 ? `${label}: adapter ${index + 1}` : label
    problems.push(...wrong.map((problem) => `${place}: ${problem}`))
    return wrong.length === 0
  })
}

/** Adapters may share a template; two templates may not share a name. */
function foreignTemplates(adapter: AnyAdapter, others: ReadonlyMap<string, AnyAdapter>): readonly string[] {
  const known = knownTemplates(others.values())
  return [...templatesOf(adapter).values()]
    .filter((template) => !isDeepStrictEqual(known.get(template.name) ?? template, template))
    .map(({ name }) => `templates: there is another template "${name}" already: give this one another name`)
}

function importFailure(error: unknown): string {
  const message = messageOf(error)
  // Node takes a module for CommonJS where the package.json nearest to it says so, as `npm init` makes it say.
  const commonJs = error instanceof SyntaxError && message.includes('outside a module')
  return commonJs ? `${message}; call it .mts or .mjs, or set "type": "module" in its package.json` : message
}
