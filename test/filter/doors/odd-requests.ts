// Random requests and rules of the kind on which two readings of one request come apart.

import type { EnvoyRequest } from '../../helpers/envoy-request.ts'
import type { HeaderLine } from '../../helpers/proxy-wasm/header-lines.ts'
import type { Picker } from '../../properties/random.ts'
import { ASK, type RuleSpec } from '../filter-bench.ts'

const LONG = 'x'.repeat(20_000)
/** UTF-8, and what is none, as bytes. */
const UMLAUT = Buffer.from('é').toString('latin1')
const METHODS = ['GET', 'GET', 'POST', 'get', '', 'CONNECT', 'PROP-FIND', 'G T'] as const
const PATHS = [
  '/a',
  '/a',
  '/a/b',
  '/a?k=1',
  '/a?k=1&k=2',
  '/a?k',
  '/a?',
  '/a#f',
  '/a?k=%31',
  '/a?k=%',
  '/%61',
  '/a%2Fb',
  '//a',
  '/a/../b',
  '/a/./b',
  '/a;x=1/b',
  '/%',
  '/a%00',
  '/A',
  '',
  '*',
  'a',
  'http://a.example/a',
  '/ a',
  '/a\\b',
  `/${UMLAUT}`,
  '/\x80',
  `/a${LONG}`,
  `/a?k=${LONG}`,
] as const
const HOSTS = [
  'a.example',
  'a.example',
  'A.Example',
  'a.example:80',
  'a.example:81',
  'a.example:0',
  'a.example:x',
  'a.example.',
  '.a.example',
  'a..example',
  '',
  '[::1]',
  '[::1]:80',
  '[::0001]:81',
  '[fe80::1%25eth0]',
  '::1',
  '10.0.0.1',
  '0x0a.1',
  'user@a.example',
  'a b',
  `${UMLAUT}.example`,
  `${LONG}.example`,
] as const
const ADDRESSES = [
  '10.0.0.1:5',
  '10.0.0.1:5',
  '10.0.0.1:6',
  '10.0.0.1:0',
  '[::1]:5',
  '[2001:db8::1]:5',
  '[::ffff:10.0.0.1]:5',
  '[fe80::1%eth0]:5',
  '/run/pipe',
  undefined,
] as const
const IDENTITIES = [
  undefined,
  'eve',
  'spiffe://c/ns/n/sa/eve',
  'spiffe://c/ns/m/sa/eve',
  'spiffe://c/ns//sa/',
  'spiffe://c/sa/eve/ns/n',
  'spiffe://',
  'https://c/ns/n/sa/eve',
] as const
const TYPES = [
  'application/grpc',
  'application/grpc+proto',
  'application/grpc-web',
  'Application/gRPC',
  'text/html',
] as const
const VALUES = [
  '',
  '1',
  '2',
  '1,2',
  ' 1',
  'a b',
  '"q"',
  LONG,
  UMLAUT,
  '\xff',
  '5',
  '-1',
  '1e3',
  '00005',
  '9007199254740993',
  '9'.repeat(18),
  '9'.repeat(30),
] as const
/** Further ones that a request may have once, several times, or never. */
const NAMES = [
  'x-a',
  'x-a',
  'x-b',
  'cookie',
  'set-cookie',
  'user-agent',
  'referer',
  'authorization',
  'content-length',
  'x-istio-attributes',
] as const

export function oddRequest(pick: Picker): EnvoyRequest {
  const headers: HeaderLine[] = [
    [':method', pick.of(METHODS)],
    [':path', pick.of(PATHS)],
    [':authority', pick.of(HOSTS)],
    [':scheme', pick.of(['http', 'http', 'https', ''])],
  ]
  // What is always there is plain in most of them: a node refuses much of the rest at once.
  if (pick.chance(0.5)) headers[0] = [':method', 'GET']
  if (pick.chance(0.5)) headers[1] = [':path', pick.of(['/a', '/a/b', '/a?k=1'])]
  if (pick.chance(0.6)) headers[2] = [':authority', 'a.example']
  for (let i = pick.int(4); i > 0; i--)
    headers.push([pick.of(NAMES), pick.of(pick.chance(0.7) ? ['', '1', '2'] : VALUES)])
  if (pick.chance(0.1))
    headers.push(['content-length', pick.of(['0', '5', '5', '9007199254740993', '9'.repeat(16), '9'.repeat(18)])])
  if (pick.chance(0.3)) headers.push(['content-type', pick.of(TYPES)])
  const about = {
    source: pick.of(ADDRESSES),
    destination: pick.of(ADDRESSES),
    peer: pick.of(IDENTITIES),
    local: pick.of(IDENTITIES),
    serverName: pick.of([undefined, 's.example', 'S.example']),
  }
  return { headers, ...Object.fromEntries(Object.entries(about).filter(([, value]) => value !== undefined)) }
}

const MATCHES = [
  'request.path.startsWith("/a")',
  'request.url_path.endsWith("b")',
  'request.raw_path == "/%61"',
  'request.host == "a.example"',
  'request.method == "GET"',
  '"x-a" in request.headers',
  '"x-a" in request.headers && request.headers["x-a"] == "1,2"',
  '"x-b" in request.headers && request.headers["x-b"].contains("1")',
  '"cookie" in request.headers && request.headers["cookie"] == "1; 2"',
  '"host" in request.headers && request.headers["host"] == "a.example"',
  '"k" in request.query_params && request.query_params["k"] == "1"',
  'request.size > 4',
  'request.useragent.startsWith("1")',
  'request.referer == ""',
  'request.scheme == "https"',
  'source.ip == ip("10.0.0.1")',
  'source.ip == ip("::1")',
  'destination.ip == ip("2001:db8::1")',
  'source.port == 5',
  'destination.port > 5',
  'source.principal == "c/ns/n/sa/eve"',
  'source.namespace == "n"',
  'destination.namespace == "n"',
  'destination.principal.startsWith("c/")',
  'connection.mtls',
  'connection.requested_server_name == "s.example"',
  'context.protocol == "grpc"',
] as const
/** What the handler is asked about. */
export const ASKED = [
  'request.path',
  'request.host',
  'request.method',
  'request.headers["x-a"]',
  'source.principal',
] as const
const TEXTS = [
  '"v"',
  '""',
  '" v "',
  '"a\\r\\nb"',
  '"é"',
  'request.path',
  'request.headers["x-a"]',
  'source.principal',
] as const

/** None of them comes to nothing: what does removes, and ext_authz removes no headers of responses. */
const FULL_TEXTS = ['"v"', '" v "', '"a\\r\\nb"', '"é"', '"p" + request.path'] as const
type Texts = readonly [string, ...string[]]

function operations(pick: Picker, names: Texts, kinds: Texts, texts: Texts) {
  return Array.from({ length: pick.int(3) }, () => {
    const operation = pick.of(kinds)
    const name = pick.of(names)
    return operation === 'REMOVE' ? { name, operation } : { name, operation, values: [pick.of(texts)] }
  })
}

export function oddRules(pick: Picker): Readonly<Record<string, RuleSpec>> {
  const rules = Array.from({ length: 1 + pick.int(4) }, (_, i): readonly [string, RuleSpec] => [
    `r${i}`,
    {
      ...(pick.chance(0.6) ? ASK : {}),
      ...(pick.chance(0.8) ? { match: pick.of(MATCHES) } : {}),
      ...(pick.chance(0.2) ? { namespace: pick.of(['n', 'm']) } : {}),
      ...(pick.chance(0.3) ? { failPolicy: 'open' } : {}),
      requestHeaderOperations: operations(
        pick,
        ['x-a', 'x-new', 'cookie', 'user-agent', 'host'],
        ['REPLACE', 'APPEND', 'REMOVE'],
        TEXTS,
      ),
      // Of responses ext_authz removes none.
      responseHeaderOperations: operations(pick, ['x-up', 'x-new', 'server'], ['REPLACE', 'APPEND'], FULL_TEXTS),
    },
  ])
  // A rule has to do something.
  const always = { requestHeaderOperations: [{ name: 'x-rule', operation: 'REPLACE', values: ['"always"'] }] }
  return { always, ...Object.fromEntries(rules.filter(([, spec]) => doesSomething(spec))) }
}

const doesSomething = (spec: RuleSpec) => Object.values(spec).some((value) => Array.isArray(value) && value.length > 0)
