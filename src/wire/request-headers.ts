// What the front doors agree on about request headers.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { isStringMap } from '../kernel/value.ts'

/** Header in which Mixer's proxies forwarded attributes: a caller could forge it, so nobody gets to see it. */
export const FORWARDED_ATTRIBUTES_HEADER = 'x-istio-attributes'

/** Attributes whose keys are names of headers: in lower case at every door. */
export const HEADER_MAPS: ReadonlySet<string> = new Set(['request.headers', 'response.headers'])

/** One header of a bag that has `request.headers`. */
export function headerOf(bag: AttributeBag, name: string): string | undefined {
  const headers = bag.get('request.headers')
  return headers !== undefined && isStringMap(headers) ? headers.get(name) : undefined
}

/** Whether a content type is one of gRPC's that Mixer knew. */
export function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(\+proto|\+json)?$/.test(contentType)
}
