// What a policy's header operations do to the headers of Node's messages.

import type { IncomingMessage } from 'node:http'
import { isJoinable, separatorOf } from '../../../kernel/header-field.ts'
import {
  type HeaderChange,
  headerChanges,
  type HeaderOperation,
  isRemovable,
} from '../../../kernel/header-operation.ts'
import { httpHeaderValue, isCopyableHeader } from '../../../kernel/header-value.ts'

/** The headers of a message, by names in lower case. */
export interface ChangeableHeaders {
  get(name: string): string | readonly string[] | undefined
  set(name: string, value: string | string[]): void
  remove(name: string): void
}

/** Does the operations. What frames a message, and pseudo headers, stay as they are. */
export function changeHeaders(headers: ChangeableHeaders, operations: readonly HeaderOperation[]): void {
  for (const change of changesOf(operations)) {
    const { name } = change
    const values = [...(change.replaces ? [] : linesOf(headers.get(name))), ...change.values.map(httpHeaderValue)]
    if (change.replaces) headers.remove(name)
    if (values.length > 0) headers.set(name, isJoinable(name) ? joined(name, values) : values)
  }
}

/** Does the operations to a request that came, both to its headers and to the lines as they came. */
export function changeRequest(message: IncomingMessage, operations: readonly HeaderOperation[]): void {
  if (operations.length === 0) return
  const { headers, rawHeaders } = message
  changeHeaders(
    {
      get: (name) => headers[name],
      set(name, value) {
        headers[name] = Array.isArray(value) && name !== 'set-cookie' ? value.at(-1) : value
        removeLines(rawHeaders, name)
        for (const line of linesOf(value)) rawHeaders.push(name, line)
      },
      remove(name) {
        delete headers[name]
        removeLines(rawHeaders, name)
      },
    },
    operations,
  )
}

function changesOf(operations: readonly HeaderOperation[]): readonly HeaderChange[] {
  if (operations.length === 0) return []
  return headerChanges(operations).filter(
    ({ name, replaces, values }) => isCopyableHeader(name) && (!replaces || values.length > 0 || isRemovable(name)),
  )
}

function linesOf(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return []
  return typeof value === 'string' ? [value] : value
}

function joined(name: string, values: readonly string[]): string {
  return values.join(separatorOf(name) === ',' ? ', ' : separatorOf(name))
}

function removeLines(rawHeaders: string[], name: string): void {
  for (let at = rawHeaders.length - 2; at >= 0; at -= 2) {
    if (rawHeaders[at]?.toLowerCase() === name) rawHeaders.splice(at, 2)
  }
}
