// Stands before the real runc where containers run without a Docker engine: a machine that is a container itself may
// neither raise limits nor make control groups, so those parts of a bundle are taken out before runc reads it.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const args = process.argv.slice(2)
if (args.includes('create')) {
  const at = args.findIndex((argument) => argument === '--bundle' || argument === '-b')
  const path = join(args[at + 1] ?? '.', 'config.json')
  const bundle = JSON.parse(readFileSync(path, 'utf8'))
  delete bundle.process.rlimits
  delete bundle.process.oomScoreAdj
  delete bundle.linux.resources
  delete bundle.linux.cgroupsPath
  bundle.mounts = bundle.mounts.filter(({ type }) => type !== 'cgroup' && type !== 'cgroup2')
  writeFileSync(path, JSON.stringify(bundle))
}
const { status } = spawnSync(process.env['RUNC_BIN'] ?? '/usr/sbin/runc', args, { stdio: 'inherit' })
process.exit(status ?? 1)
