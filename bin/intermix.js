#!/usr/bin/env node
// Starts the command on a Node that can run it: the built program where it exists, else the TypeScript source,
// on this Node when it is 24 or newer and otherwise on the Node 24 that the package brings.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const source = here('../src/main.ts')
const entry = existsSync(source) ? source : here('../dist/src/main.js')
const bundled = here('../node_modules/.bin/node')
const recent = Number(process.versions.node.split('.')[0]) >= 24
const node = recent || !existsSync(bundled) ? process.execPath : bundled

const child = spawn(node, [entry, ...process.argv.slice(2)], { stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => {
  process.exitCode = code ?? (signal === null ? 1 : 128)
})
