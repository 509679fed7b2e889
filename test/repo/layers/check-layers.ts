// Checks that imports point down. First it proves on planted violations that the check can fail at all: a cruiser that
// cannot parse the sources cruises nothing and reports "no violations".
import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cruise, type ICruiseOptions, type ICruiseResult, type IViolation } from 'dependency-cruiser'
import { FILTER, LAYER_RULES } from './rules.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
/** What adapters of others import, by which the samples do so too. */
const KIT = { 'intermix/adapter-kit': join(root, 'src/adapter-kit/index.ts') }
const planted = join(root, 'test/repo/layers/planted')

/** Rules that the planted sources break; each must be found. */
const PLANTED = [
  'adapters-imports-down',
  'adapters-stand-alone',
  'composition-knows-no-command',
  'doors-know-no-transport',
  'filter-host-imports-down',
  'filter-stands-alone',
  'grpc-js-has-owners',
  'imports-resolve',
  'ioredis-has-owners',
  'kernel-imports-down',
  'metrics-have-one-catalogue',
  'no-cycles',
  'nobody-imports-the-filter',
  'policy-imports-down',
  'process-imports-down',
  'prom-client-has-owners',
  'product-without-tests',
  'root-is-on-top',
  'settings-belong-to-the-top',
  'settings-imports-down',
  'templates-are-a-registry',
]

async function examine(baseDir: string): Promise<ICruiseResult> {
  const folders = ['src', 'workers', 'test', 'load', FILTER].filter((folder) => existsSync(join(baseDir, folder)))
  const options: ICruiseOptions = {
    baseDir,
    validate: true,
    ruleSet: { forbidden: [...LAYER_RULES] },
    tsPreCompilationDeps: true,
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^test/repo/layers/planted/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  }
  const { output } = await cruise(folders, options, { alias: KIT })
  if (typeof output === 'string') throw new Error(`unexpected output of the cruiser: ${output}`)
  return output
}

function describeViolation(violation: IViolation): string {
  const cycle = violation.cycle?.map((step) => step.name).join(' → ')
  return `${violation.rule.name}: ${violation.from} → ${cycle ?? violation.to}`
}

async function provePlantedViolationsAreFound(): Promise<string[]> {
  const found = new Set((await examine(planted)).summary.violations.map((violation) => violation.rule.name))
  return PLANTED.filter((name) => !found.has(name)).map((name) => `the planted violation of ${name} was not found`)
}

async function checkProject(): Promise<string[]> {
  const result = await examine(root)
  const onDisk = globSync(`{src,workers,${FILTER}}/**/*.ts`, { cwd: root })
  const cruised = new Set(result.modules.map((module) => module.source))
  const missed = onDisk.filter((path) => !cruised.has(path))
  console.log(
    `${cruised.size} modules cruised, ${onDisk.length} of them are the product's, ${LAYER_RULES.length} rules`,
  )
  return [
    ...missed.map((path) => `${path} was not cruised`),
    ...result.summary.violations.map((violation) => describeViolation(violation)),
  ]
}

const problems = [...(await provePlantedViolationsAreFound()), ...(await checkProject())]
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1
