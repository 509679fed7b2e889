// Does to a stream what an answer says, as a node's answers to Envoy's own filter do (server/ext-authz-response.ts).

import { Bytes, bytesOf, EMPTY, isBytes } from '../bytes/bytes'
import { Answer, HeaderOperation, Operation } from '../cache/kept-answer'
import { addHeader, HeaderMap, removeHeader, replaceHeader, setProperty } from '../host/abi'
import { Mark } from '../host/scratch'
import { isSingleton, joinedAt } from '../request/headers'
import { Request } from '../request/request'
import { cleanValue } from './header-value'
import { codeName, httpStatusOf } from '../shared/http-status'
import { ReplyHeaders } from './local-reply'
import { AUTHORITY, COOKIE, HOST } from '../request/header-names'

const DENIED = bytesOf('intermix_denied')
const NOT_JUDGED = bytesOf('intermix_not_judged')
const RETRY_AFTER = bytesOf('retry-after')
const COLON: u8 = 0x3a
const scratch = new Request()

/** Changes the headers of the request on its way. */
export function changeRequest(operations: Array<HeaderOperation>): void {
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i]
    const isHost = isBytes(operation.name, HOST)
    const name = isHost ? AUTHORITY : operation.name
    const value = cleanValue(operation.value)
    if (operation.operation === Operation.REMOVE) {
      if (isRemovable(name)) removeHeader(HeaderMap.REQUEST, name.dataStart, name.length)
    } else if (operation.operation === Operation.REPLACE || isHost || isSingleton(name.dataStart, name.length)) {
      replaceHeader(HeaderMap.REQUEST, name.dataStart, name.length, value.dataStart, value.length)
    } else append(name, value)
  }
}

/** Not the host and the pseudo headers. */
function isRemovable(name: Bytes): bool {
  return name.length > 0 && name[0] !== COLON
}

/** What is appended stands in one line with what is there. */
function append(name: Bytes, value: Bytes): void {
  const mark = new Mark()
  scratch.load(0)
  const size = scratch.header(name)
  if (size < 0) {
    mark.release()
    replaceHeader(HeaderMap.REQUEST, name.dataStart, name.length, value.dataStart, value.length)
    return
  }
  const isCookie = isBytes(name, COOKIE)
  const joined = new Uint8Array(size + (isCookie ? 2 : 1) + value.length)
  memory.copy(joined.dataStart, joinedAt, size)
  mark.release()
  joined[size] = isCookie ? 0x3b : 0x2c
  if (isCookie) joined[size + 1] = 0x20
  memory.copy(joined.dataStart + <usize>(joined.length - value.length), value.dataStart, value.length)
  replaceHeader(HeaderMap.REQUEST, name.dataStart, name.length, joined.dataStart, joined.length)
}

/** Changes the headers of the response to an allowed request. */
export function changeResponse(operations: Array<HeaderOperation>): void {
  for (let i = 0; i < operations.length; i++) {
    const name = operations[i].name
    const value = cleanValue(operations[i].value)
    if (operations[i].operation === Operation.REMOVE) {
      if (isRemovable(name)) removeHeader(HeaderMap.RESPONSE, name.dataStart, name.length)
    } else if (operations[i].operation === Operation.REPLACE || isSingleton(name.dataStart, name.length)) {
      replaceHeader(HeaderMap.RESPONSE, name.dataStart, name.length, value.dataStart, value.length)
    } else addHeader(HeaderMap.RESPONSE, name.dataStart, name.length, value.dataStart, value.length)
  }
}

/** Refuses the request: the direct response that a handler wants, else what the code comes to, with the message as body. */
export function deny(answer: Answer, validForMs: f64): void {
  const headers = new ReplyHeaders()
  const direct = answer.directHeaders
  if (direct !== null) {
    for (let i = 0; i < direct.length; i += 2) headers.replace(direct[i], direct[i + 1])
  }
  const isStatus = answer.httpStatus >= 200 && answer.httpStatus <= 599
  const status = isStatus ? answer.httpStatus : httpStatusOf(answer.code)
  if (status === 429 && !headers.has(RETRY_AFTER)) {
    const seconds = <i64>max(1, Math.ceil(validForMs / 1000))
    headers.add(RETRY_AFTER, bytesOf(seconds.toString()))
  }
  const operations = answer.responseHeaders
  if (operations !== null) {
    for (let i = 0; i < operations.length; i++) {
      const operation = operations[i]
      const name = operation.name
      if (operation.operation === Operation.REMOVE) continue
      if (operation.operation === Operation.REPLACE || isSingleton(name.dataStart, name.length))
        headers.replace(name, operation.value)
      else headers.add(name, operation.value)
    }
  }
  headers.send(status, answer.body.length > 0 ? answer.body : answer.message, DENIED)
}

/** Refuses a request that nobody has judged. */
export function refuse(status: i32): void {
  new ReplyHeaders().send(status, EMPTY, NOT_JUDGED)
}

const STATUS = bytesOf('intermix.status')
const TIER = bytesOf('intermix.tier')
const REASON = bytesOf('intermix.reason')
const AGE = bytesOf('intermix.age_ms')
const VALIDITY = bytesOf('intermix.valid_for_ms')

/** Leaves word for access logs: `%FILTER_STATE(wasm.intermix.status:PLAIN)%` and others. */
export function leaveWord(code: i32, reason: Bytes, tier: Bytes, ageMs: f64, validForMs: f64): void {
  tell(STATUS, codeName(code))
  tell(TIER, tier)
  tell(REASON, reason)
  tell(AGE, bytesOf((<i64>ageMs).toString()))
  tell(VALIDITY, bytesOf((<i64>min(validForMs, 9e15)).toString()))
}

function tell(name: Bytes, value: Bytes): void {
  setProperty(name.dataStart, name.length, value.dataStart, value.length)
}
