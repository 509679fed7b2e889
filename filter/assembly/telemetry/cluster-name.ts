// What Istio's names of clusters say of where a request went: `outbound|9080|v1|reviews.default.svc.cluster.local`.

import { bytesOf, indexOfByte, isEqual } from '../bytes/bytes'
import { Record } from './record'
import { Is } from './report-attributes'

export const INBOUND = bytesOf('inbound')
const OUTBOUND = bytesOf('outbound')
const SVC = bytesOf('svc')
const BAR: u8 = 0x7c
const DOT: u8 = 0x2e

/** Reads the side that reports and the service; other names say nothing. */
export function readCluster(record: Record, at: usize, size: i32): void {
  const isOutbound = isFirst(at, size, OUTBOUND.length) && isEqual(OUTBOUND, at, OUTBOUND.length)
  const isInbound = isFirst(at, size, INBOUND.length) && isEqual(INBOUND, at, INBOUND.length)
  if (!isOutbound && !isInbound) return
  let begin = 0
  for (let bars = 0; bars < 3; bars++) {
    const bar = indexOfByte(at + <usize>begin, size - begin, BAR)
    if (bar < 0) return
    begin += bar + 1
  }
  const host = at + <usize>begin
  const hostSize = size - begin
  if (indexOfByte(host, hostSize, BAR) >= 0) return
  if (isOutbound) record.bytes(Is.REPORTER_KIND, OUTBOUND)
  if (hostSize > 0) record.text(Is.SERVICE_HOST, host, hostSize)
  const name = indexOfByte(host, hostSize, DOT)
  if (name < 0) return
  const rest = host + <usize>(name + 1)
  const namespace = indexOfByte(rest, hostSize - name - 1, DOT)
  if (namespace < 0) return
  const third = rest + <usize>(namespace + 1)
  const left = hostSize - name - namespace - 2
  const dot = indexOfByte(third, left, DOT)
  if (!isEqual(SVC, third, dot < 0 ? left : dot)) return
  record.text(Is.SERVICE_NAME, host, name)
  record.text(Is.SERVICE_NAMESPACE, rest, namespace)
}

/** Whether the first part of a name has a size. */
function isFirst(at: usize, size: i32, first: i32): bool {
  return size > first && load<u8>(at + <usize>first) === BAR
}
