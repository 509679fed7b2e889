// What a policy's header operations do to the metadata of gRPC calls.

import type { Metadata } from '@grpc/grpc-js'
import { cleanHeaderValue } from '../../../kernel/header-field.ts'
import { type HeaderOperation, headerChanges } from '../../../kernel/header-operation.ts'
import { isCopyableHeader } from '../../../kernel/header-value.ts'

/** What the values of metadata may hold. */
const ASCII = /^[\x20-\x7e]*$/

/** Does the operations. What frames a call stays as it is, and so does what is not text. */
export function changeMetadata(metadata: Metadata, operations: readonly HeaderOperation[]): void {
  if (operations.length === 0) return
  for (const { name, replaces, values } of headerChanges(operations)) {
    if (!isCopyableHeader(name) || name.endsWith('-bin') || name === 'host' || name.startsWith('grpc-')) continue
    if (replaces) metadata.remove(name)
    for (const value of values.map(cleanHeaderValue)) if (ASCII.test(value)) metadata.add(name, value)
  }
}
