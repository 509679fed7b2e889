// Which requests are likely to have one answer: those that are alike wait for the first one's, and look again.

import { Bytes } from '../bytes/bytes'
import { hashOf } from '../bytes/hash'
import { Request } from '../request/request'
import { AUTHORIZATION, COOKIE } from '../request/header-names'

/** The same for requests that look alike; never 0. */
export function likenessOf(request: Request): u32 {
  let hash = hashOf(request.method, request.methodSize)
  hash = hash * 31 + hashOf(request.path, request.pathSize)
  hash = hash * 31 + hashOf(request.host, request.hostSize)
  hash = hash * 31 + ofHeader(request, AUTHORIZATION)
  hash = hash * 31 + ofHeader(request, COOKIE)
  return hash === 0 ? 1 : hash
}

function ofHeader(request: Request, name: Bytes): u32 {
  const line = request.headers.find(name)
  return line < 0 ? 0 : hashOf(request.headers.valueAt(line), request.headers.valueSize(line))
}
