// Lets adapters of others import `intermix/adapter-kit` wherever they lie: beside a clone, in an image, in a project.

import { registerHooks } from 'node:module'
import { extname } from 'node:path'

const SPECIFIER = 'intermix/adapter-kit'

let shared = false

/** From now on, everything in this process that imports `intermix/adapter-kit` gets the kit of this very program. */
export function shareKit(): void {
  if (shared) return
  shared = true
  // Built or not, the kit's file has the extension of this one.
  const { href } = new URL(`../adapter-kit/index${extname(import.meta.filename)}`, import.meta.url)
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === SPECIFIER ? { url: href, shortCircuit: true } : next(specifier, context),
  })
}
