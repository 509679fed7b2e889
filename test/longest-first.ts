// The order in which files of tests start: what takes long comes first, so that at the end none is left that all wait for.
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Beside tests of whole systems. A checkout that has run them knows their durations; a new one knows these names. */
const LONG = [
  'whole/redis-cluster',
  'whole/least-rights',
  'whole/redis-sentinel',
  'whole/compose',
  'whole/processes',
  'workers/repeated-batches',
  'helpers/redis-topologies',
  'properties/planted-defects',
  'cache/revocation-rollback',
].map((name) => `/test/${name}.test.ts`)

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.sort((a, b) => rank(a) - rank(b))
  }
}

function rank({ moduleId }: TestSpecification): number {
  if (LONG.some((name) => moduleId.endsWith(name))) return 0
  return moduleId.includes('/test/whole/') ? 1 : 2
}
