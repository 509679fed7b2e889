// Two servers under the same load, in turn, in one run: `node load/side-by-side.ts --help`.

import { runCommand } from './kit/command.ts'
import { compare, merged, verdictOn } from './kit/comparison.ts'
import { LOAD_HELP, LOAD_OPTIONS, loadOn, readLoad } from './kit/load-options.ts'
import { alternate, ratioText } from './kit/pairs.ts'
import { savePlot, sayReasons } from './kit/report.ts'
import { runLoad } from './kit/run-load.ts'
import { SERVER_FORMS, startServer } from './kit/servers.ts'
import { printTable, saveResults, say } from './output.ts'

const help = `node load/side-by-side.ts --a SERVER --b SERVER [--pairs N] [OPTIONS]: the same load on two servers in turn

  --a, --b SERVER         one of:
${SERVER_FORMS}
  --pairs N               runs of each; at least 3, default 5. Each run takes --seconds and --settle

${LOAD_HELP}
  --name NAME             of load/results/NAME.json and .svg; default "side-by-side"

Flags of a node belong to its server: --b "node --transport grpc-js". The ratio is that of b to a, pair by pair: its median,
and the smallest and largest. A difference is one where the 95 % interval of the median leaves 1 out.`

const options = {
  ...LOAD_OPTIONS,
  a: { type: 'string' },
  b: { type: 'string' },
  pairs: { type: 'string', default: '5' },
  name: { type: 'string', default: 'side-by-side' },
} as const

const MIN_PAIRS = 3

await runCommand({ options, help }, async (values, defer) => {
  const given = readLoad(values)
  const pairs = Number(values.pairs)
  if (values.a === undefined || values.b === undefined) throw new Error('--a and --b are needed; see --help')
  if (!Number.isInteger(pairs) || pairs < MIN_PAIRS) throw new Error(`--pairs ${values.pairs}: at least ${MIN_PAIRS}`)
  const servers = []
  for (const text of [values.a, values.b]) {
    const server = await startServer(text)
    defer(() => server.stop())
    servers.push(server)
  }
  // Compiles their code and fills their caches.
  for (const server of servers) await runLoad(loadOn(server, given))
  const runs = servers.map((server) => () => runLoad({ ...loadOn(server, given), fill: false }))
  const [a = [], b = []] = await alternate(runs, pairs)
  const compared = compare(a, b)
  say(`a: ${values.a}\nb: ${values.b}\n${pairs} pairs, ${values.door}`)
  printTable(
    compared.map(({ figure, ratio, ...medians }) => ({
      figure,
      a: medians.a.toFixed(2),
      b: medians.b.toFixed(2),
      'b / a': ratioText(ratio),
      'b is': verdictOn(ratio),
    })),
  )
  for (const [index, results] of [a, b].entries()) {
    const last = results.at(-1)
    if (last !== undefined) sayReasons(servers[index]?.name ?? '', last)
  }
  await saveResults(values.name, { servers: [values.a, values.b], load: given, compared, a, b })
  await savePlot(values.name, `${values.door}: ${pairs} pairs`, [
    { name: 'a', result: merged(a) },
    { name: 'b', result: merged(b) },
  ])
})
