// One check as each door is asked it. What rules read of it follows from the key: `request.path`, by whose prefixes keys
// fall into 10ⁿ even parts, and `destination.service.name`, one of ten.

import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { CheckRequestSchema as EnvoyCheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { CheckRequestSchema as MixerCheckRequestSchema } from '../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { RateLimitRequestSchema } from '../../src/wire/generated/envoy/service/ratelimit/v3/rls_pb.ts'
import { envoyRequest, HEADERS, REQUEST } from '../../test/bench/sample-requests.ts'
import { type Attributes, compress } from '../../test/wire/mixer/compress.ts'
import { type BatchTemplate, batchTemplate, envoyBatchTemplate } from './batch-template.ts'
import { keyDigits, type RequestTemplate, requestTemplate } from './request-template.ts'

export const SERVICES = 10

/** `request.path` of the key with these digits. */
export function pathWith(digits: string): string {
  return `/keys/${digits}`
}

function serviceWith(digits: string): string {
  return `service-${digits.slice(0, 1)}`
}

/** What the rules read, and nothing else. */
function read(digits: string): Attributes {
  return { 'request.path': pathWith(digits), 'destination.service.name': serviceWith(digits) }
}

function mesh(digits: string): Attributes {
  const path = pathWith(digits)
  const headers = new Map([...HEADERS, [':path', path]])
  return { ...REQUEST, ...read(digits), 'request.url_path': path, 'request.headers': headers }
}

function mixer(attributes: Attributes): Uint8Array {
  const message = { attributes: compress(attributes), globalWordCount: 222, deduplicationId: 'u-17' }
  return toBinary(MixerCheckRequestSchema, create(MixerCheckRequestSchema, message))
}

function extAuthz(digits: string): Uint8Array {
  const request = fromBinary(EnvoyCheckRequestSchema, envoyRequest())
  const { http } = request.attributes?.request ?? {}
  if (http === undefined || request.attributes === undefined) throw new Error('the sample request is not about HTTP')
  http.path = pathWith(digits)
  http.headers[':path'] = http.path
  request.attributes.contextExtensions['destination.service.name'] = serviceWith(digits)
  return toBinary(EnvoyCheckRequestSchema, request)
}

function bareExtAuthz(digits: string): Uint8Array {
  const http = { method: 'GET', path: pathWith(digits), host: 'example.test', scheme: 'http' }
  const attributes = { contextExtensions: { 'destination.service.name': serviceWith(digits) }, request: { http } }
  return toBinary(EnvoyCheckRequestSchema, create(EnvoyCheckRequestSchema, { attributes }))
}

/** Attributes as JSON has them: text, numbers, and maps of text. */
function http(attributes: Attributes): Uint8Array {
  const plain = Object.entries(attributes).flatMap(([name, value]) => {
    if (value instanceof Map) return [[name, Object.fromEntries(value)]]
    if (typeof value === 'bigint') return [[name, Number(value)]]
    return typeof value === 'string' || typeof value === 'boolean' ? [[name, value]] : []
  })
  return Buffer.from(JSON.stringify({ attributes: Object.fromEntries(plain) }))
}

type Described = Readonly<Record<string, string>>

/** A descriptor with one entry for each that is described. */
function rateLimit(described: readonly Described[]): Uint8Array {
  const descriptors = described.map((of) => ({ entries: Object.entries(of).map(([key, value]) => ({ key, value })) }))
  return toBinary(RateLimitRequestSchema, create(RateLimitRequestSchema, { domain: 'load', descriptors }))
}

function oneDescriptor(digits: string): Uint8Array {
  return rateLimit([{ path: pathWith(digits) }])
}

function threeDescriptors(digits: string): Uint8Array {
  return rateLimit([{ path: pathWith(digits) }, { service: serviceWith(digits) }, { client: `client-${digits}` }])
}

function batch(attributesOf: (digits: string) => Attributes): BatchTemplate {
  const digits = keyDigits(0)
  const services = Array.from({ length: SERVICES }, (_, key) => serviceWith(keyDigits(key)))
  return batchTemplate(attributesOf(digits), { path: pathWith(digits), service: serviceWith(digits), services })
}

interface Requests {
  readonly http: () => RequestTemplate
  readonly mixer: () => RequestTemplate
  readonly extAuthz: () => RequestTemplate
  readonly rateLimit: () => RequestTemplate
  readonly rateLimits: () => RequestTemplate
  readonly batch: () => BatchTemplate
  readonly envoyBatch: () => BatchTemplate
}

/** What a mesh's proxy sends: 30 attributes, 13 headers. JSON has neither addresses nor times. */
export const meshRequests: Requests = {
  http: () => requestTemplate((digits) => http(mesh(digits))),
  mixer: () => requestTemplate((digits) => mixer(mesh(digits))),
  extAuthz: () => requestTemplate(extAuthz),
  rateLimit: () => requestTemplate(oneDescriptor),
  rateLimits: () => requestTemplate(threeDescriptors),
  batch: () => batch(mesh),
  envoyBatch: () => envoyBatchTemplate(extAuthz),
}

/** The least that the rules need. */
export const bareRequests: Requests = {
  http: () => requestTemplate((digits) => http(read(digits))),
  mixer: () => requestTemplate((digits) => mixer(read(digits))),
  extAuthz: () => requestTemplate(bareExtAuthz),
  rateLimit: () => requestTemplate(oneDescriptor),
  rateLimits: () => requestTemplate(threeDescriptors),
  batch: () => batch(read),
  envoyBatch: () => envoyBatchTemplate(bareExtAuthz),
}

/** The type of each attribute that these requests have, for a manifest. */
export function attributeTypes(): Readonly<Record<string, { readonly valueType: string }>> {
  const types = { string: 'STRING', bigint: 'INT64', boolean: 'BOOL' } as const
  return Object.fromEntries(
    Object.entries(REQUEST).map(([name, value]) => {
      const valueType =
        value instanceof Map
          ? 'STRING_MAP'
          : value instanceof Uint8Array
            ? 'IP_ADDRESS'
            : (types[typeof value as keyof typeof types] ?? (name.endsWith('time') ? 'TIMESTAMP' : 'DURATION'))
      return [name, { valueType }]
    }),
  )
}
