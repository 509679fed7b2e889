// The callbacks of Proxy-Wasm ABI 0.2.1. The host calls them; each hands over to the plugin that it is about.

import { Action, Buffer, getBuffer, LogLevel, setTickPeriod, Status } from './host/abi'
import { begin, take } from './host/scratch'
import { copyOf, textOf } from './bytes/bytes'
import { refuse } from './plugin/apply'
import { report } from './shared/log'
import { Plugin } from './plugin/plugin'
import { readSettings } from './plugin/settings'
export { stop } from './host/stop'

const TICK_MS = 20
const UNAVAILABLE = 503
const cell = memory.data(8, 8)

/** By their root context: one for each configuration that this module serves. */
const plugins = new Map<u32, Plugin>()
/** Mostly there is one plugin only: its streams need not be remembered. */
let firstRoot: u32 = 0
const rootOf = new Map<u32, u32>()

export function proxy_abi_version_0_2_1(): void {}

/** Memory for what the host hands over: until the callback ends. */
export function malloc(size: usize): usize {
  return take(size)
}

export function proxy_on_vm_start(_context: u32, _size: i32): i32 {
  return 1
}

export function proxy_on_context_create(context: u32, root: u32): void {
  if (root === 0) {
    plugins.set(context, new Plugin(context))
    if (firstRoot === 0) firstRoot = context
  } else if (root !== firstRoot) rootOf.set(context, root)
}

export function proxy_on_configure(root: u32, size: i32): i32 {
  begin()
  let text = ''
  if (size > 0 && getBuffer(Buffer.PLUGIN_CONFIGURATION, 0, size, cell, cell + 4) === Status.OK)
    text = textOf(copyOf(load<usize>(cell), load<i32>(cell + 4)))
  if (text === '') {
    report(
      LogLevel.ERROR,
      'the plugin has no configuration: it needs a JSON object with cluster and source_address at least',
    )
    return 0
  }
  if (!plugins.has(root) || !plugins.get(root).configure(readSettings(text))) return 0
  setTickPeriod(TICK_MS)
  return 1
}

function pluginOf(context: u32): Plugin | null {
  begin()
  const root = rootOf.size > 0 && rootOf.has(context) ? rootOf.get(context) : firstRoot
  return plugins.has(root) ? plugins.get(root) : null
}

export function proxy_on_tick(root: u32): void {
  begin()
  if (plugins.has(root)) plugins.get(root).ticked()
}

export function proxy_on_request_headers(context: u32, _headers: i32, _isEnd: i32): i32 {
  const plugin = pluginOf(context)
  if (plugin !== null) return plugin.requested(context)
  refuse(UNAVAILABLE)
  return Action.PAUSE
}

export function proxy_on_response_headers(context: u32, _headers: i32, _isEnd: i32): i32 {
  const plugin = pluginOf(context)
  if (plugin !== null) plugin.responded(context)
  return Action.CONTINUE
}

export function proxy_on_grpc_receive(root: u32, token: u32, size: i32): void {
  begin()
  if (plugins.has(root)) plugins.get(root).received(token, size)
}

export function proxy_on_grpc_close(root: u32, token: u32, status: i32): void {
  begin()
  if (plugins.has(root)) plugins.get(root).closed(token, status)
}

export function proxy_on_log(context: u32): void {
  const plugin = pluginOf(context)
  if (plugin !== null) plugin.logged(context)
}

/** @returns 0 where the plugin is not done yet */
export function proxy_on_done(context: u32): i32 {
  begin()
  return plugins.has(context) && !plugins.get(context).close() ? 0 : 1
}

export function proxy_on_delete(context: u32): void {
  if (plugins.has(context)) {
    begin()
    plugins.delete(context)
    return
  }
  const plugin = pluginOf(context)
  if (plugin !== null) plugin.ended(context)
  if (rootOf.size > 0) rootOf.delete(context)
}
