// Why a process could not start, in words for whoever started it: no stack, every problem, what to do.

import { IntermixError } from '../kernel/errors.ts'
import { showAddress } from '../settings/option-kinds.ts'
import { flagOf } from '../settings/options.ts'
import type { Settings } from '../settings/settings.ts'

/** An explained failure and the exit code that goes with it. */
export interface StartFailure {
  readonly exitCode: 1 | 2
  readonly text: string
}

const LISTENERS = ['grpcAddress', 'httpAddress', 'adminAddress', 'prometheusAddress'] as const

/** What Node (`bind` where a parent listens for its processes) and grpc-js put into their messages when they cannot listen. */
const LISTEN_FAILED = /(?:listen|bind) (E[A-Z]+)\D*?(\[?[0-9a-fA-F.:]*?\]?):(\d+)/
const SOCKET_FAILED = /(?:listen|bind) (E[A-Z]+)/
const NO_HOST = /getaddrinfo (E[A-Z_]+) (\S+)/

export function explainStartFailure(error: unknown, settings: Settings): StartFailure {
  if (error instanceof IntermixError) {
    return { exitCode: error.code === 'INVALID_SETTING' ? 2 : 1, text: error.message }
  }
  const { message, code, path } = error as NodeJS.ErrnoException
  const socket = socketFailure(message ?? '', settings)
  if (socket !== undefined) return { exitCode: 1, text: socket }
  const unknown = unknownHost(message ?? '', settings)
  if (unknown !== undefined) return { exitCode: 1, text: unknown }
  const listen = LISTEN_FAILED.exec(message ?? '')
  if (listen !== null) return { exitCode: 1, text: listenFailure(listen, settings) }
  if (path !== undefined && code !== undefined) {
    return { exitCode: 1, text: `cannot use ${path}: ${FILE_REASONS[code] ?? message}` }
  }
  return { exitCode: 1, text: message === undefined ? String(error) : message }
}

const FILE_REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'this user is not allowed to',
  EPERM: 'this user is not allowed to',
  ENOTDIR: 'it is not a folder',
  EISDIR: 'it is a folder',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
}

const LISTEN_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there already',
  EACCES: 'this user is not allowed to use that port',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'no name server answers',
}

function listenFailure([, code = '', host = '', port = '']: RegExpExecArray, settings: Settings): string {
  const listener = LISTENERS.find((key) => settings[key].port === Number(port))
  const where = listener === undefined ? `${host}:${port}` : showAddress(settings[listener])
  const advice = listener === undefined ? '' : `; give another address with ${flagOf(listener)}`
  return `cannot listen on ${where}: ${LISTEN_REASONS[code] ?? code}${advice}`
}

/** libuv says EACCES also where the folder is not there. */
const SOCKET_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there, or a file is there that is no socket',
  EACCES: 'the folder is not there, or this user may not write to it',
  EINVAL: 'the path is too long for a socket',
}

function socketFailure(message: string, settings: Settings): string | undefined {
  const code = SOCKET_FAILED.exec(message)?.[1]
  const listener = LISTENERS.find((key) => {
    const { path } = settings[key]
    return path !== undefined && message.endsWith(path)
  })
  if (listener === undefined || code === undefined) return undefined
  const where = showAddress(settings[listener])
  return `cannot listen on ${where}: ${SOCKET_REASONS[code] ?? code}; give another path with ${flagOf(listener)}`
}

function unknownHost(message: string, settings: Settings): string | undefined {
  const [, code = '', host] = NO_HOST.exec(message) ?? []
  const listener = LISTENERS.find((key) => settings[key].host === host)
  if (listener === undefined) return undefined
  const why = LISTEN_REASONS[code] ?? code
  return `cannot listen on ${showAddress(settings[listener])}: ${why}; give another address with ${flagOf(listener)}`
}
