// How long it takes until a node that all its callers come to at once has told each of them what it has to know:
// `node load/fleet-start.ts [--links 1000] [--share 100,25]`.

import { pathToFileURL } from 'node:url'
import { FleetStart } from './fleet-start/run.ts'
import { runCommand } from './kit/command.ts'
import { printTable, saveResults } from './output.ts'

const help = `node load/fleet-start.ts: how long until a fresh node has told all of its callers its config and revocations

  --links N,…     callers, one table row each                default 1000
  --share P,…     per cent of the time that the node runs; it stands still for the rest    default 100,25
  --callers P     processes of the callers                   default 4
  --seconds S     who was not told by then is given up       default 60
  --root FOLDER   another checkout: its node and its callers

Each caller has the pool of nodes of a sidecar. "start": the node is there and all come at once. "again": it is killed, and another one
takes its place; times count from when that listens.`

const HERE = new URL('..', import.meta.url)

await runCommand(
  {
    options: {
      links: { type: 'string', default: '1000' },
      share: { type: 'string', default: '100,25' },
      callers: { type: 'string', default: '4' },
      seconds: { type: 'string', default: '60' },
      root: { type: 'string' },
    },
    help,
  },
  async ({ links, share, callers, seconds, root }, defer) => {
    const at = root === undefined ? HERE : pathToFileURL(`${root}/`)
    const rows: Awaited<ReturnType<FleetStart['rounds']>> = []
    for (const count of links.split(',').map(Number)) {
      for (const per of share.split(',').map(Number)) {
        const run = new FleetStart({
          count,
          share: per / 100,
          callers: Number(callers),
          seconds: Number(seconds),
          root: at,
        })
        defer(() => run.end())
        rows.push(...(await run.rounds()))
        await run.end()
      }
    }
    printTable(rows)
    await saveResults('fleet-start', { rows })
  },
)
