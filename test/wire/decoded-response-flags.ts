// Envoy's response flags as the short codes that access logs and Mixer's `context.proxy_error_code` use.

import type { ResponseFlags } from '../../src/wire/generated/envoy/data/accesslog/v3/accesslog_pb.ts'

type Flag = Exclude<keyof ResponseFlags, '$typeName' | '$unknown'>

const SHORT_CODES: Readonly<Record<Flag, string>> = {
  failedLocalHealthcheck: 'LH',
  noHealthyUpstream: 'UH',
  upstreamRequestTimeout: 'UT',
  localReset: 'LR',
  upstreamRemoteReset: 'UR',
  upstreamConnectionFailure: 'UF',
  upstreamConnectionTermination: 'UC',
  upstreamOverflow: 'UO',
  noRouteFound: 'NR',
  delayInjected: 'DI',
  faultInjected: 'FI',
  rateLimited: 'RL',
  unauthorizedDetails: 'UAEX',
  rateLimitServiceError: 'RLSE',
  downstreamConnectionTermination: 'DC',
  upstreamRetryLimitExceeded: 'URX',
  streamIdleTimeout: 'SI',
  invalidEnvoyRequestHeaders: 'IH',
  downstreamProtocolError: 'DPE',
  upstreamMaxStreamDurationReached: 'UMSDR',
  responseFromCacheFilter: 'RFCF',
  noFilterConfigFound: 'NFCF',
  durationTimeout: 'DT',
  upstreamProtocolError: 'UPE',
  noClusterFound: 'NC',
  overloadManager: 'OM',
  dnsResolutionFailure: 'DF',
  downstreamRemoteReset: 'DR',
}

const FLAGS = Object.entries(SHORT_CODES) as readonly (readonly [Flag, string])[]

/** The codes of all flags that are set, joined by commas; `-` where none is, as Envoy prints it. */
export function shortCodesOf(flags: ResponseFlags | undefined): string {
  if (flags === undefined) return '-'
  const codes: string[] = []
  for (const [flag, code] of FLAGS) if (flags[flag]) codes.push(code)
  return codes.length === 0 ? '-' : codes.join(',')
}
