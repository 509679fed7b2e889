// Finds the conformance data that lives beside the checkout. It is read in place; where it is absent, tests skip and say so.
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../shared/conformance/', import.meta.url))

/**
 * The parsed content of `../shared/conformance/<name>`, or undefined (and a line on standard error) where it is absent:
 * use with `describe.skipIf(data === undefined)`.
 */
export function sharedData(name: string): unknown {
  const path = `${root}${name}`
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8'))
  console.warn(`skipped: no conformance data at ${path}`)
  return undefined
}
