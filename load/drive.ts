// One load on one server: `node load/drive.ts --help`.

import { printTable, saveResults, say } from './output.ts'
import { runCommand } from './kit/command.ts'
import { runH2load } from './kit/h2load.ts'
import { LOAD_HELP, LOAD_OPTIONS, loadOn, readLoad } from './kit/load-options.ts'
import { resultRow, savePlot, sayReasons } from './kit/report.ts'
import { runLoad } from './kit/run-load.ts'
import { SERVER_FORMS, startServer } from './kit/servers.ts'

const help = `node load/drive.ts [--server SERVER] [OPTIONS]: one load on one server

  --server SERVER         default "node"; one of:
${SERVER_FORMS}

${LOAD_HELP}
  --h2load                let h2load (of nghttp2) ask one request of a gRPC door again and again, beside a closed loop of ours
  --name NAME             of load/results/NAME.json and .svg; default "drive"`

const options = {
  ...LOAD_OPTIONS,
  server: { type: 'string', default: 'node' },
  h2load: { type: 'boolean', default: false },
  name: { type: 'string', default: 'drive' },
} as const

await runCommand({ options, help }, async (values, defer) => {
  const given = readLoad(values)
  const server = await startServer(values.server)
  defer(() => server.stop())
  const load = loadOn(server, given)
  const result = await runLoad(load)
  const rows = [resultRow(server.name, result)]
  if (values.h2load) rows.push(await runH2load(load))
  printTable(rows)
  sayReasons(server.name, result)
  if (given.pace.kind === 'closed') say('closed loop: latencies leave out what callers would have waited to be asked')
  await saveResults(values.name, { server: server.name, load: given, result })
  await savePlot(values.name, `${server.name}, ${values.door}`, [{ name: server.name, result }])
})
