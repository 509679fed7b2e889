// Puts defects into modules of the product.

import { vi } from 'vitest'

export interface Defect {
  readonly name: string
  /** Whether the defect is one of the tier in Redis. */
  readonly inMesh?: boolean
  readonly plant: () => void
}

const planted = new Set<string>()

/** Replaces some exports of a module for everything that is imported from now on. */
export function replace<M extends object>(path: string, exports: (real: M) => Partial<M>): void {
  planted.add(path)
  vi.doMock(path, async (importOriginal) => {
    const real = await importOriginal<M>()
    return { ...real, ...exports(real) }
  })
}

/** Takes all defects out again. */
export function uproot(): void {
  for (const path of planted) vi.doUnmock(path)
  planted.clear()
  vi.resetModules()
}
