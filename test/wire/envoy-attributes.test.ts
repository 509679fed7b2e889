import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AttributeBag, Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { parseIp } from '../../src/kernel/ip-address.ts'
import { parseTimestamp } from '../../src/kernel/time.ts'
import type { StringMap, ValueType } from '../../src/kernel/value.ts'
import { EnvoyCheck } from '../../src/wire/envoy-check.ts'
import { EnvoyCheckBag } from '../../src/wire/envoy-attributes.ts'
import { CheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'

const VOCABULARY: Vocabulary = new Map<string, ValueType>([
  ['destination.port', 'INT64'],
  ['destination.service.name', 'STRING'],
  ['source.labels', 'STRING_MAP'],
  ['request.headers', 'STRING_MAP'],
  ['source.namespace', 'STRING'],
  ['context.reporter.kind', 'STRING'],
])

/** Over the wire and back, as the server reads it. */
function bagOf(attributes: NonNullable<MessageInitShape<typeof CheckRequestSchema>['attributes']>): AttributeBag {
  const bytes = toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes }))
  return new EnvoyCheckBag(new EnvoyCheck(bytes), VOCABULARY)
}

const socket = (address: string, portValue: number) => ({
  address: { case: 'socketAddress', value: { address, portValue } } as const,
})

describe('attributes of Envoy’s authorization requests', () => {
  it('come from peers, request and TLS session', () => {
    const bag = bagOf({
      source: {
        address: socket('10.0.0.9', 5000),
        principal: 'spiffe://cluster.local/ns/shop/sa/cart',
        labels: { app: 'cart' },
      },
      destination: { address: socket('fd00::1%eth0', 8080), principal: 'spiffe://cluster.local/ns/back/sa/db' },
      request: {
        time: { seconds: 1_700_000_000n, nanos: 5 },
        http: {
          id: '77',
          method: 'GET',
          path: '/p/q?a=1&b=%62+c&a=2#f',
          host: 'shop.test',
          scheme: 'https',
          size: 12n,
          headers: {
            'user-agent': 'ua',
            referer: 'ref',
            'content-type': 'application/grpc+proto',
            'x-istio-attributes': 'x',
          },
        },
      },
      tlsSession: { sni: 'sni.test' },
    })
    expect(bag.get('source.ip')).toEqual(parseIp('10.0.0.9'))
    expect(bag.get('source.principal')).toBe('cluster.local/ns/shop/sa/cart')
    expect(bag.get('source.namespace')).toBe('shop')
    expect(bag.get('source.serviceAccount')).toBe('cart')
    expect((bag.get('source.labels') as StringMap).get('app')).toBe('cart')
    expect(bag.get('destination.ip')).toEqual(parseIp('fd00::1'))
    expect(bag.get('destination.port')).toBe(8080n)
    expect(bag.get('destination.namespace')).toBe('back')
    expect(bag.get('connection.mtls')).toBe(true)
    expect(bag.get('connection.requested_server_name')).toBe('sni.test')
    expect(bag.get('context.protocol')).toBe('grpc')
    expect(bag.get('context.reporter.kind')).toBe('inbound')
    expect(bag.get('request.path')).toBe('/p/q?a=1&b=%62+c&a=2#f')
    expect(bag.get('request.url_path')).toBe('/p/q')
    expect([...(bag.get('request.query_params') as StringMap).entries()]).toEqual([
      ['a', '1'],
      ['b', 'b c'],
    ])
    expect(bag.get('request.size')).toBe(12n)
    expect(bag.get('request.time')).toEqual(parseTimestamp('2023-11-14T22:13:20.000000005Z'))
    expect(bag.get('request.useragent')).toBe('ua')
    const headers = bag.get('request.headers') as StringMap
    expect([headers.size, headers.get('x-istio-attributes'), headers.get('constructor')]).toEqual([
      3,
      undefined,
      undefined,
    ])
    expect(bag.get('request.headers')).toBe(headers)
  })

  it('are absent where Envoy says nothing', () => {
    const bag = bagOf({ request: { http: { size: -1n, headers: {} } } })
    for (const name of [
      'source.ip',
      'source.principal',
      'request.size',
      'request.query_params',
      'request.auth.claims',
    ]) {
      expect(bag.get(name)).toBeUndefined()
    }
    expect(bag.get('connection.mtls')).toBe(false)
    expect([...bag.names()]).toEqual([
      'connection.mtls',
      'context.protocol',
      'context.reporter.kind',
      'request.headers',
      'request.path',
      'request.url_path',
      'request.host',
      'request.scheme',
    ])
  })

  it('of plain connections have no request', () => {
    const bag = bagOf({ source: { address: socket('10.0.0.9', 1) }, request: {} })
    expect(bag.get('context.protocol')).toBe('tcp')
    expect([...bag.names()].filter((name) => name.startsWith('request.'))).toEqual([])
  })

  it('read raw headers, joining repeated ones', () => {
    const header = (key: string, text: string) => ({ key, rawValue: new TextEncoder().encode(text) })
    const headers = [header('X-A', '1'), { key: 'x-a', value: '2' }, header('x-istio-attributes', 'forged')]
    const map = bagOf({ request: { http: { headerMap: { headers } } } }).get('request.headers') as StringMap
    expect([...map.entries()]).toEqual([['x-a', '1,2']])
  })

  it('read the joined headers where the raw ones are none', () => {
    const headers = { 'X-User': 'ann' }
    const bag = bagOf({ request: { http: { headers, headerMap: {} } } })
    expect(bag.get('request.headers')).toEqual(new Map([['x-user', 'ann']]))
    const lines = [{ key: 'x-user', value: 'ann' }]
    expect(bagOf({ request: { http: { headers, headerMap: { headers: lines } } } }).get('request.headers')).toEqual(
      new Map([['x-user', 'ann']]),
    )
  })

  it('take the first verified token by name', () => {
    const claims = (sub: string) => ({
      iss: 'https://idp',
      sub,
      aud: ['a', 'b'],
      azp: 'app',
      groups: ['x', 'y'],
      exp: 5,
    })
    const bag = bagOf({
      metadataContext: {
        filterMetadata: {
          'envoy.filters.http.jwt_authn': { z: claims('late'), header: 'no payload', payload: claims('jane') },
        },
      },
    })
    expect(bag.get('request.auth.principal')).toBe('https://idp/jane')
    expect(bag.get('request.auth.audiences')).toBe('a,b')
    expect(bag.get('request.auth.presenter')).toBe('app')
    expect(
      [...(bag.get('request.auth.claims') as StringMap).entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ).toEqual([
      ['aud', 'a,b'],
      ['azp', 'app'],
      ['groups', 'x,y'],
      ['iss', 'https://idp'],
      ['sub', 'jane'],
    ])
    expect(JSON.parse(bag.get('request.auth.raw_claims') as string)).toEqual(claims('jane'))
  })

  it('are what the operator sets, read by their types, before what is derived', () => {
    const bag = bagOf({
      source: { principal: 'spiffe://c/ns/derived/sa/x' },
      contextExtensions: {
        'source.namespace': 'set',
        'destination.port': '443',
        'source.labels': '{"app": "web"}',
        'context.reporter.kind': 'outbound',
        'request.headers': '{"X-User": "ann"}',
        'not.declared': 'x',
      },
    })
    expect(bag.get('source.namespace')).toBe('set')
    expect(bag.get('destination.port')).toBe(443n)
    expect(bag.get('source.labels')).toEqual(new Map([['app', 'web']]))
    expect(bag.get('context.reporter.kind')).toBe('outbound')
    expect(bag.get('request.headers')).toEqual(new Map([['x-user', 'ann']]))
    expect(bag.get('not.declared')).toBeUndefined()
  })

  it('name every extension of the wrong type', () => {
    const extensions = { 'destination.port': 'x', 'source.labels': '[1]', 'source.namespace': 'fine' }
    expect(() => bagOf({ contextExtensions: extensions })).toThrow(
      /destination\.port is "x".*source\.labels is "\[1\]"/,
    )
  })

  it('outside of request.* do not depend on what the client sends', () => {
    const source = { address: socket('10.0.0.9', 1), principal: 'spiffe://c/ns/n/sa/s' }
    const names = [...bagOf({ source, request: { http: {} } }).names()].filter((name) => !name.startsWith('request.'))
    const plain = bagOf({ source, request: { http: {} } })
    const wanted = names.map((name) => plain.get(name))
    const key = fc.oneof(fc.constantFrom(...names, 'x-istio-attributes', 'x-forwarded-for', '__proto__'), fc.string())
    const headers = fc.dictionary(key, fc.string()).map((record) => ({ ...record }))
    fc.assert(
      fc.property(headers, fc.string(), (sent, path) => {
        delete sent['content-type']
        const bag = bagOf({ source, request: { http: { headers: sent, path: `/${path}` } } })
        expect([...bag.names()].filter((name) => !name.startsWith('request.'))).toEqual(names)
        expect(names.map((name) => bag.get(name))).toEqual(wanted)
      }),
      { numRuns: 50 },
    )
  })
})
