// Envoy's response flags as the short codes that access logs and Mixer's `context.proxy_error_code` use.

/** By field number of `ResponseFlags`, which begin with 1. */
const SHORT_CODES =
  'LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE DC URX SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF DR'.split(' ')

/** The codes of all flags whose bits (1 << field number) are set, joined by commas; `-` where none is, as Envoy prints it. */
export function shortCodesOf(flags: number): string {
  if (flags === 0) return '-'
  return SHORT_CODES.filter((_, at) => (flags & (2 << at)) !== 0).join(',')
}
