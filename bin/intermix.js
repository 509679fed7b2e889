#!/usr/bin/env node
// Starts the command on a Node that can run it: in this process where it is Node 24 or newer, else on the Node 24 that
// the package brings for Linux. The TypeScript source runs where it is there (a clone), else the built program.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { memoryEnvironment, memoryFlags } from './memory-flags.js'
import { onNpmGone } from './npm-watch.js'

const source = new URL('../src/main.ts', import.meta.url)
const entry = existsSync(source) ? source : new URL('../dist/src/main.js', import.meta.url)

const args = process.argv.slice(2)

if (Number(process.versions.node.split('.')[0]) >= 24) {
  restartWithFlags()
  // As if a launcher had gone: the command listens for that alone.
  onNpmGone(() => process.emit('disconnect'))
  await import(entry.href)
} else runOn(bundledNode())

/** This process starts anew as itself, under the same id, where that is to be had and nobody holds a channel to it. */
function restartWithFlags() {
  const flags = memoryFlags(args)
  if (flags.length === 0 || process.execve === undefined || process.send !== undefined) return
  const argv = [process.execPath, ...flags, ...process.execArgv, ...process.argv.slice(1)]
  process.execve(process.execPath, argv, memoryEnvironment(args))
}

/** The Node 24 among the optional dependencies, wherever npm has put it. */
function bundledNode() {
  try {
    return createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/bin/node`)
  } catch {
    console.error(
      `intermix: needs Node 24 or newer; this is ${process.version}, and no Node 24 came with the package ` +
        `(it does for Linux on x64 and arm64; to have it, install without --omit=optional)`,
    )
    process.exit(1)
  }
}

function runOn(node) {
  // The channel carries nothing: it closes when this process ends, even by SIGKILL, and tells the child.
  const stdio = ['inherit', 'inherit', 'inherit', 'ipc']
  const env = memoryEnvironment(args)
  const child = spawn(node, [...memoryFlags(args, []), fileURLToPath(entry), ...args], { stdio, env })
  onNpmGone(() => child.disconnect())
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === null ? 1 : 128)
  })
}
