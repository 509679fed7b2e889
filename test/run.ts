// `npm test`: provides the tools, runs every check and every test, and ends with one line of counts.
// `check` as the argument runs the quality checks alone. With CI=true a skipped test is a failure.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { provideTools } from './provide-tools.ts'

interface Counts {
  passed: number
  failed: number
  skipped: number
}

/** The part of vitest's JSON report that is counted. */
interface VitestReport {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

const root = fileURLToPath(new URL('../', import.meta.url))
const cache = join(root, 'node_modules/.cache/intermix')
const reportPath = join(cache, 'vitest.json')
const CHECKS: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['types', 'tsc', '--noEmit'],
  ['lint', 'oxlint', '--type-aware', '--deny-warnings'],
  ['format', 'biome', 'format', '.'],
  ['layers', 'node', 'test/repo/layers/check-layers.ts'],
  ['dead code', 'knip'],
  ['filter', 'asc', '--baseDir', join(root, 'filter'), '--config', 'asconfig.json', '--noEmit', '--optimizeLevel', '0'],
]

function runLocal(command: string, args: readonly string[]): number {
  const path = [dirname(process.execPath), join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter)
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PATH: path },
  })
  if (result.error !== undefined) console.error(`${command}: ${result.error.message}`)
  return result.status ?? 1
}

function runChecks(counts: Counts): void {
  for (const [name, command, ...args] of CHECKS) {
    console.log(`\n== ${name}`)
    const passed = runLocal(command, args) === 0
    if (passed) counts.passed += 1
    else counts.failed += 1
    console.log(`${name}: ${passed ? 'passed' : 'FAILED'}`)
  }
}

function runTests(counts: Counts): void {
  console.log('\n== tests')
  mkdirSync(cache, { recursive: true })
  rmSync(reportPath, { force: true })
  // What no process needs any more would stay there for ever.
  for (const kept of ['compiled', 'filter']) rmSync(join(cache, kept), { recursive: true, force: true })
  const status = runLocal('vitest', ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${reportPath}`])
  const failedBefore = counts.failed
  if (existsSync(reportPath)) countTests(JSON.parse(readFileSync(reportPath, 'utf8')) as VitestReport, counts)
  // A crash or an unhandled error outside any test fails the run as well.
  if (status !== 0 && counts.failed === failedBefore) counts.failed += 1
}

function countTests(report: VitestReport, counts: Counts): void {
  for (const file of report.testResults) {
    // A file that cannot be loaded or set up fails without a failed test of its own.
    const testFailed = file.assertionResults.some((test) => test.status === 'failed')
    if (file.status === 'failed' && !testFailed) counts.failed += 1
    for (const test of file.assertionResults) {
      if (test.status === 'passed') counts.passed += 1
      else if (test.status === 'failed') counts.failed += 1
      else {
        counts.skipped += 1
        console.log(`skipped: ${test.fullName}`)
      }
    }
  }
}

const counts: Counts = { passed: 0, failed: 0, skipped: 0 }
const checksOnly = process.argv[2] === 'check'
const missing = checksOnly ? [] : await provideTools()
runChecks(counts)
if (!checksOnly) runTests(counts)
for (const line of missing) console.log(line)
const strict = process.env['CI'] === 'true'
if (strict && counts.skipped > 0) console.error('CI=true: a skipped test is a failure')
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exitCode = counts.failed > 0 || (strict && counts.skipped > 0) ? 1 : 0
