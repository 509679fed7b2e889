// How V8 is to use memory in a process that serves. It takes these settings when it starts, and no later.
//
// Young objects: 8 MiB instead of 32, of which V8 holds two such spaces. Hardly anything outlives a check, so that a larger
// space is no cheaper to clear, but all of it is touched. Old objects: a collection when 40 % have come, where V8 would wait
// for three times as many. Measured at full rate with one verdict, two cores: 147 MB of memory instead of 211, for the same
// processor time.
const FRUGAL = ['--max-semi-space-size=8', '--heap-growing-percent=40']
// A worker has jobs under way while it waits for Redis and backends: with frugal spaces many objects grow old for nothing, and
// a third of its time goes into collecting them. Measured with load/report-cost.ts: 12 s of processor time per million
// records instead of 16, for 100 MB more.
const ROOMY = ['--max-semi-space-size=16', '--heap-growing-percent=150']
// There are as many sidecars as services, and most have little to do. One arena for malloc is a third of the gain. The compilers between
// the interpreter and TurboFan take 10 MB for code that TurboFan's soon replaces: without them a hit takes no more processor time.
// Optimizing for size takes 10 MB less once more, for up to a fifth more time of a hit. load/sidecar-memory.ts measures.
const SMALL = [
  '--max-semi-space-size=1',
  '--heap-growing-percent=20',
  '--no-maglev',
  '--no-sparkplug',
  '--optimize-for-size',
]
const FLAGS = { node: FRUGAL, all: FRUGAL, sidecar: SMALL, worker: ROOMY }

/** The flags for a command that are not set already, on the command line or by NODE_OPTIONS. */
export function memoryFlags([role], execArgv = process.execArgv, nodeOptions = process.env.NODE_OPTIONS ?? '') {
  if (!Object.hasOwn(FLAGS, role ?? '')) return []
  const set = [...execArgv, ...nodeOptions.split(' ')].map(nameOf)
  return FLAGS[role].filter((flag) => !set.includes(nameOf(flag)))
}

/** What a command wants of the C library's memory, where the environment says nothing of it. */
export function memoryEnvironment([role], env = process.env) {
  return role === 'sidecar' ? { MALLOC_ARENA_MAX: '1', ...env } : env
}

function nameOf(flag) {
  return flag.split('=')[0].replaceAll('_', '-')
}
