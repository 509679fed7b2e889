// `intermix rollout status | history | diff`: shows, and changes nothing.

import { IntermixError } from '../kernel/errors.ts'
import { NO_ROLLOUT } from '../rollout/state.ts'
import { diffOf } from '../rollout/diff.ts'
import { shortId } from '../rollout/version.ts'
import { rolloutView } from '../rollout/view.ts'
import { EXIT } from './io.ts'
import { type RolloutTask, versionNamed } from './rollout-task.ts'
import { logTable, statusText, versionTable } from './rollout-text.ts'
import { visible } from './table.ts'

export async function status({ store, observations, io, values }: RolloutTask): Promise<number> {
  const view = await rolloutView(store, observations)
  io.out(values.json ? JSON.stringify(view) : statusText(view).join('\n'))
  return EXIT.ok
}

export async function history({ store, versions, io, values }: RolloutTask): Promise<number> {
  const [known, log, bad] = await Promise.all([versions.list(), store.log(values.limit), store.quarantined()])
  const state = await store.state().catch((error: unknown) => {
    const { code, message } = IntermixError.from(error)
    if (code !== 'NOT_READY') throw error
    io.err(`intermix rollout: ${message}`)
    return NO_ROLLOUT
  })
  const shown = known.slice(0, values.limit)
  if (values.json) {
    const told = log.map(({ at, rev, by, event, entry }) => ({ at: new Date(at).toISOString(), rev, by, event, entry }))
    io.out(
      JSON.stringify({
        versions: shown.map(({ at, ...meta }) => ({ ...meta, at: new Date(at).toISOString() })),
        log: told,
      }),
    )
    return EXIT.ok
  }
  if (shown.length === 0) io.out('no version was published yet')
  for (const line of [...versionTable(shown, state, bad), ...logTable(log)]) io.out(line)
  return EXIT.ok
}

export async function diff(task: RolloutTask): Promise<number> {
  const { io, values, operands } = task
  const [before, after] = await Promise.all(operands.map(async (word) => await read(task, word)))
  if (before === undefined || after === undefined) return EXIT.usage
  const differing = diffOf(before.files, after.files)
  if (values.json) {
    io.out(JSON.stringify({ from: before.meta.id, to: after.meta.id, files: differing }))
  } else if (differing.length === 0) {
    io.out(`${shortId(before.meta.id)} and ${shortId(after.meta.id)} are the same`)
  } else {
    // A terminal obeys nothing that a config says.
    for (const { patch } of differing) io.out(patch.trimEnd().split('\n').map(plain).join('\n'))
  }
  return EXIT.ok
}

function plain(line: string): string {
  return line.split('\t').map(visible).join('\t')
}

async function read(task: RolloutTask, word: string) {
  const id = await versionNamed(task, word)
  const version = await task.versions.read(id)
  if (version === undefined) throw new IntermixError('NOT_FOUND', `${shortId(id)} is not kept any more`)
  return version
}
