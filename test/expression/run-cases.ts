// `node test/expression/run-cases.ts FILE.json`: runs expression cases; manifests are in cexl-manifests.json beside the file.
// Prints what failed and why, then the counts. Ends with 0 when all passed, 1 when one failed, 2 when the file is wrong.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type ExpressionCase, type Manifests, parseCases, parseManifests } from './cases/case-file.ts'
import { runCase } from './cases/run-case.ts'

const [path, ...excess] = process.argv.slice(2)
if (path === undefined || path.startsWith('-') || excess.length > 0) {
  console.error('Usage: node test/expression/run-cases.ts FILE.json')
  process.exitCode = 2
} else {
  try {
    process.exitCode = runAll(path)
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    process.exitCode = 2
  }
}

function runAll(file: string): number {
  const cases = parseCases(readFileSync(file, 'utf8'), file)
  const manifests = readManifests(file, cases)
  let failed = 0
  for (const expressionCase of cases) {
    const fault = attempt(expressionCase, manifests)
    if (fault === undefined) continue
    failed++
    console.log(`${expressionCase.id}: ${expressionCase.expr}: ${fault}`)
  }
  console.log(`${cases.length - failed} passed, ${failed} failed`)
  return failed === 0 ? 0 : 1
}

function attempt(expressionCase: ExpressionCase, manifests: Manifests): string | undefined {
  try {
    return runCase(expressionCase, manifests)
  } catch (error) {
    return `crashed: ${error instanceof Error ? error.message : String(error)}`
  }
}

function readManifests(file: string, cases: readonly ExpressionCase[]): Manifests {
  if (cases.every(({ manifest }) => manifest === undefined)) return {}
  const beside = join(dirname(file), 'cexl-manifests.json')
  return parseManifests(readFileSync(beside, 'utf8'), beside)
}
