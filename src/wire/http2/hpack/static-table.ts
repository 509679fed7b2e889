// The fields that every HPACK peer knows (RFC 7541, appendix A).

const FIELDS = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`

function columns(): { names: string[]; values: string[] } {
  // Index 0 is no field.
  const rows = FIELDS.split('\n').map((row) => [row.split(' ', 1)[0] ?? '', row] as const)
  return { names: rows.map(([name]) => name), values: rows.map(([name, row]) => row.slice(name.length + 1)) }
}

const { names, values } = columns()

/** Names by index, from 1. */
export const STATIC_NAMES: readonly string[] = names
/** Values by index, from 1; empty where the table has only a name. */
export const STATIC_VALUES: readonly string[] = values
/** The last index; the dynamic table begins behind it. */
export const STATIC_LENGTH = names.length - 1

const byName = new Map<string, number>()
const byField = new Map<string, number>()
for (let index = STATIC_LENGTH; index > 0; index--) {
  byName.set(names[index] ?? '', index)
  byField.set(fieldKey(names[index] ?? '', values[index] ?? ''), index)
}

/** The lowest index of a name, or 0. */
export function staticName(name: string): number {
  return byName.get(name) ?? 0
}

/** The index of a whole field, or 0. */
export function staticField(name: string, value: string): number {
  return byField.get(fieldKey(name, value)) ?? 0
}

/** A field as one string. No name holds a NUL, so two fields never share it. */
export function fieldKey(name: string, value: string): string {
  return `${name}\0${value}`
}
