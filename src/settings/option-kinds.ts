// The kinds of values that flags and environment variables can have: how each is read, written and explained.

import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { IntermixError } from '../kernel/errors.ts'
import { parseIpRange } from '../kernel/ip-range.ts'
import { Duration, parseDuration } from '../kernel/time.ts'
import { parseRedisUrl } from '../kernel/redis-url.ts'

/** Where to listen. An IPv6 host has no brackets here. With a `path` it is a Unix socket. */
export interface Address {
  readonly host: string
  readonly port: number
  readonly path?: string
}

/** What each kind becomes: durations are milliseconds, bytes are a number of bytes. */
export interface KindValues {
  address: Address
  /** `none`, or a Redis URL that `kernel/redis-url.ts` reads. */
  redis: string
  /** An http or https URL without a trailing slash; with a query only where it may be a secret. */
  url: string
  duration: number
  integer: number
  /** A number of processes; `auto` is as many as this machine can run at once. */
  processes: number
  boolean: boolean
  choice: string
  path: string
  bytes: number
  text: string
  /** Items separated by commas; further uses of the flag add to them. */
  list: readonly string[]
  /** One item for each use of the flag, commas included. */
  texts: readonly string[]
  /** CIDR ranges in text; single addresses stay as they are. */
  cidrs: readonly string[]
}

export type Kind = keyof KindValues

/** The part of an option that reading its value needs. Bounds are inclusive, in the unit of the value. */
export interface ValueRules {
  readonly choices?: readonly string[]
  readonly min?: number
  readonly max?: number
  /** Whether an address may be a Unix socket. */
  readonly sockets?: boolean
  /** The value may hold a secret: no message repeats it, and a URL may have a query. */
  readonly isSecret?: true
  readonly pattern?: { readonly regex: RegExp; readonly allowed: string }
}

/** A value that was read, or what would be right instead. */
export type ReadValue<K extends Kind> = { readonly value: KindValues[K] } | { readonly allowed: string }

type Reader<K extends Kind> = (text: string, rules: ValueRules) => ReadValue<K>

/** What the address of a Unix socket begins with. */
const SOCKET = 'unix:'
/** Node's timers hold no more, and no wait here should. */
const LONGEST_DURATION_MS = 2_147_483_647

const readers: { readonly [K in Kind]: Reader<K> } = {
  address: readAddress,
  redis: readRedis,
  url: readUrl,
  duration: readDuration,
  integer: (text, rules) => (/^-?\d{1,15}$/.test(text) ? within(Number(text), rules, String) : bounds(rules, String)),
  processes: readProcesses,
  boolean: readBoolean,
  choice: readChoice,
  path: (text) => ({ value: text }),
  bytes: readBytes,
  text: (text, { pattern }) =>
    pattern === undefined || pattern.regex.test(text) ? { value: text } : { allowed: pattern.allowed },
  list: readList,
  texts: (text) => ({ value: [text] }),
  cidrs: readCidrs,
}

/** Reads the text of a value. */
export function readValue<K extends Kind>(kind: K, text: string, rules: ValueRules): ReadValue<K> {
  return readers[kind](text, rules)
}

/** What `--help` shows in place of a value. */
export function placeholder(kind: Kind, { choices = [] }: ValueRules): string {
  const names: Readonly<Record<Kind, string>> = {
    address: 'HOST:PORT',
    redis: 'URL',
    url: 'URL',
    duration: 'DURATION',
    integer: 'N',
    processes: 'N|auto',
    boolean: 'on|off',
    choice: choices.join('|'),
    path: 'PATH',
    bytes: 'SIZE',
    text: 'TEXT',
    list: choices.length > 0 ? `${choices.join('|')},…` : 'A,B,…',
    texts: 'TEXT',
    cidrs: 'CIDR,…',
  }
  return names[kind]
}

/** A value in the notation in which it is given, for `--help`. */
export function showValue(kind: Kind, value: unknown): string {
  if (kind === 'duration') return Duration.fromMillis(value as number).toString()
  if (kind === 'bytes') return showBytes(value as number)
  if (kind === 'boolean') return value === true ? 'on' : 'off'
  if (kind === 'address') return showAddress(value as Address)
  return Array.isArray(value) ? value.join(',') : String(value)
}

export function showAddress({ host, port, path }: Address): string {
  if (path !== undefined) return `${SOCKET}${path}`
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function readChoice(text: string, { choices = [] }: ValueRules): ReadValue<'choice'> {
  const value = choices.find((choice) => choice.toLowerCase() === text.toLowerCase())
  return value === undefined ? { allowed: `one of ${choices.join(', ')}` } : { value }
}

function readAddress(text: string, { sockets = false }: ValueRules): ReadValue<'address'> {
  const path = text.slice(SOCKET.length)
  if (sockets && text.startsWith(SOCKET) && path !== '') return { value: { host: '', port: 0, path } }
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3] ?? -1)
  const host = match?.[1] ?? (match?.[2] === '' ? '0.0.0.0' : match?.[2])
  const wrong = host === undefined || port < 0 || port > 65_535 || (match?.[1] !== undefined && isIP(match[1]) !== 6)
  const orSocket = sockets ? `, or ${SOCKET}PATH` : ''
  return wrong
    ? { allowed: `HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080 (port 0 takes a free one)${orSocket}` }
    : { value: { host, port } }
}

function readRedis(text: string): ReadValue<'redis'> {
  if (text === 'none') return { value: text }
  try {
    parseRedisUrl(text)
    return { value: text }
  } catch (error) {
    return { allowed: `none or a Redis URL: ${IntermixError.from(error).message}` }
  }
}

function readUrl(text: string, { isSecret = false }: { readonly isSecret?: boolean }): ReadValue<'url'> {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isWrong = (url?.search !== '' && !isSecret) || url?.hash !== ''
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || isWrong) {
    return { allowed: 'an http or https URL, such as http://127.0.0.1:8080' }
  }
  // Nothing is fetched by such a URL, and errors would tell it.
  if (url.username !== '' || url.password !== '') return { allowed: 'a URL without user and password' }
  return { value: url.search === '' ? url.href.replace(/\/+$/, '') : url.href }
}

function readDuration(text: string, rules: ValueRules): ReadValue<'duration'> {
  const millis = parseDuration(text)?.toMillis()
  const all = { min: 0, max: LONGEST_DURATION_MS, ...rules }
  const show = (value: number) => showValue('duration', value)
  return millis === undefined
    ? bounds(all, show, 'a value with a unit such as 50ms, 10s or 1h30m')
    : within(millis, all, show)
}

function readProcesses(text: string, rules: ValueRules): ReadValue<'processes'> {
  const { max = Infinity } = rules
  if (text.toLowerCase() === 'auto') return { value: Math.min(availableParallelism(), max) }
  return /^\d{1,15}$/.test(text)
    ? within(Number(text), rules, String, 'auto or a number')
    : bounds(rules, String, 'auto or a number')
}

function readBoolean(text: string): ReadValue<'boolean'> {
  const lower = text.toLowerCase()
  if (['on', 'true', 'yes', '1'].includes(lower)) return { value: true }
  if (['off', 'false', 'no', '0'].includes(lower)) return { value: false }
  return { allowed: 'on or off' }
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  ki: 1024,
  mi: 1024 ** 2,
  gi: 1024 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
}

function readBytes(text: string, rules: ValueRules): ReadValue<'bytes'> {
  const match = /^(\d{1,15}(?:\.\d{1,3})?)\s*([a-z]*)$/i.exec(text)
  const unit = BYTE_UNITS[(match?.[2] ?? '?').toLowerCase()]
  const all = { min: 0, max: Number.MAX_SAFE_INTEGER, ...rules }
  if (match === null || unit === undefined) return bounds(all, showBytes, 'a value such as 64MiB, 512KiB or 1000000')
  return within(Math.floor(Number(match[1]) * unit), all, showBytes)
}

function showBytes(bytes: number): string {
  for (const [unit, size] of [
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`
  }
  return String(bytes)
}

function readCidrs(text: string): ReadValue<'cidrs'> {
  const ranges = splitList(text)
  return ranges.every((range) => parseIpRange(range) !== undefined)
    ? { value: ranges }
    : { allowed: 'CIDR ranges or addresses, such as 10.0.0.0/8,fd00::/8,192.0.2.7' }
}

function readList(text: string, { choices }: ValueRules): ReadValue<'list'> {
  const items = splitList(text)
  return choices === undefined || items.every((item) => choices.includes(item))
    ? { value: items }
    : { allowed: `any of ${choices.join(', ')}, separated by commas` }
}

function splitList(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

type Show = (value: number) => string

function within(value: number, rules: ValueRules, show: Show, form = ''): { value: number } | { allowed: string } {
  const { min = -Infinity, max = Infinity } = rules
  return value >= min && value <= max ? { value } : bounds(rules, show, form)
}

function bounds({ min, max }: ValueRules, show: Show, form = ''): { allowed: string } {
  const from = min === undefined ? '' : `from ${show(min)}`
  const to = max === undefined || max >= LONGEST_DURATION_MS ? '' : `to ${show(max)}`
  const range = [from, to].filter((part) => part !== '').join(' ')
  return {
    allowed: [form === '' ? 'a value' : form, range].filter((part) => part !== '').join(form === '' ? ' ' : ', '),
  }
}
