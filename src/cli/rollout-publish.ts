// `intermix rollout publish`: a folder becomes a version, and the version a candidate.

import { randomUUID } from 'node:crypto'
import { formatProblem } from '../kernel/problem.ts'
import { readVersionFolder } from '../rollout/read-folder.ts'
import type { Pace } from '../rollout/stages.ts'
import { type ConfigFile, shortId, versionId, versionProblems } from '../rollout/version.ts'
import { type CommandIo, EXIT } from './io.ts'
import type { RolloutValues } from './rollout-options.ts'
import { answer } from './rollout-answer.ts'
import type { RolloutTask } from './rollout-task.ts'
import { validateFolder } from './validate-folder.ts'

/** Validates first: what has errors is stored nowhere. */
export async function publish(task: RolloutTask): Promise<number> {
  const { store, versions, values, io, by } = task
  const files = await readValid(task.operands[0] ?? '', values, io)
  if (files === undefined) return EXIT.refused
  const { stable } = await store.state()
  const facts = { author: by, message: values.message, ...(stable === undefined ? {} : { parent: stable }) }
  const { meta } = await versions.keep(files, facts)
  const applied = await store.operate({
    kind: 'publish',
    version: meta.id,
    id: randomUUID(),
    by,
    pace: paceOf(values),
    expectations: values.expect,
    namespaces: values.firstNamespaces,
    again: values.again,
  })
  return answer(task, applied, {
    done: `${shortId(meta.id)} is published: ${meta.files} files, ${meta.bytes} bytes`,
    hint: '; publish it with --again to try it once more',
    version: meta.id,
  })
}

function paceOf(values: RolloutValues): Pace {
  return {
    shadowMs: values.shadowTimeMs,
    stageMs: values.stageTimeMs,
    bakeMs: values.bakeTimeMs,
    maxWaitMs: values.maxWaitMs,
    pairs: values.minPairs,
    checks: values.minChecks,
  }
}

/** The files, which are those that were validated; all problems are printed. `undefined`: they are not to be published. */
async function readValid(
  folder: string,
  values: RolloutValues,
  io: CommandIo,
): Promise<readonly ConfigFile[] | undefined> {
  const before = await readVersionFolder(folder).catch(() => [])
  const { problems, summary, isUsable } = await validateFolder(
    folder,
    { ...values, ratelimitConfig: undefined },
    io.cwd,
  )
  for (const problem of problems) io.err(formatProblem(problem))
  const files = isUsable ? await readVersionFolder(folder) : []
  const whyNot = isUsable ? versionProblems(files) : [summary]
  if (isUsable && versionId(files) !== versionId(before))
    whyNot.push('it changes while it is read; publish it when it is complete')
  for (const why of whyNot) io.err(`intermix rollout: ${folder} is not published: ${why}`)
  return whyNot.length === 0 ? files : undefined
}
