// `intermix revoke`: voids cached verdicts on all nodes, by handler, by attribute value, or all of them.

import type { RevocationReceipt } from '../cache/revocation-service.ts'
import type { RevocationTarget } from '../kernel/revocation.ts'
import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import { defineTool } from './command.ts'
import { type CommandIo, EXIT } from './io.ts'
import { ADMIN_OPTIONS, adminOf, adminRefusalText, callNode } from './node-client.ts'
import { visible } from './table.ts'
import type { OptionTable, OptionValues } from '../settings/options.ts'

const OPTIONS = {
  attribute: {
    kind: 'text',
    short: 'a',
    env: false,
    placeholder: 'NAME=VALUE',
    description: 'Verdicts on requests with this value, such as source.principal=eve or request.headers[x-user]=eve.',
  },
  handler: {
    kind: 'text',
    env: false,
    placeholder: 'NAME',
    description: 'Verdicts of one handler, by its full name: deny-list.handler.istio-system.',
  },
  all: { kind: 'boolean', default: false, env: false, description: 'Every verdict.' },
  ...ADMIN_OPTIONS,
} as const satisfies OptionTable

/** `intermix revoke`. */
export const revoke = defineTool({
  usage: '(-a NAME=VALUE | --handler NAME | --all) [flags]',
  options: OPTIONS,
  notes: [
    'Exits with 0 when every node has confirmed, and every sidecar, 2 for wrong flags and 3 when one has not: after the time that is said it serves the old verdict no more.',
  ],
  examples: ['intermix revoke -a source.principal=eve', 'intermix revoke --handler opa.handler.istio-system'],
  read({ values }, problems) {
    const [target, ...more] = readTargets(values, problems)
    if (problems.length === 0 && (target === undefined || more.length > 0)) {
      problems.push('give one of -a NAME=VALUE, --handler NAME and --all')
    }
    return { values, target }
  },
  async run({ values, target }, io) {
    const answer = await callNode(io, { ...adminOf(values), path: '/v1/revocations', body: target })
    if (answer.httpStatus >= 300) throw new IntermixError('BACKEND_FAILED', adminRefusalText(answer, values.admin))
    return printReceipt(readReceipt(answer.body), io)
  },
})

function printReceipt(receipt: RevocationReceipt, io: CommandIo): number {
  const { sequence, counts, boundMs } = receipt
  const named = (kind: 'unconfirmed' | 'silent' | 'callers') => {
    const more = counts[kind] - receipt[kind].length
    return `${receipt[kind].map(visible).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
  }
  io.out(`revocation ${sequence} is confirmed by ${counts.confirmed} of ${counts.confirmed + counts.unconfirmed} nodes`)
  if (counts.silent > 0) {
    io.err(`intermix revoke: not heard of lately: ${named('silent')}; if alive, they obey within ${boundMs} ms`)
  }
  const bound = `they serve the old verdict for ${boundMs} ms at most`
  if (counts.callers > 0) io.err(`intermix revoke: not confirmed by the sidecars ${named('callers')}; ${bound}`)
  if (counts.unconfirmed > 0) io.err(`intermix revoke: not confirmed by ${named('unconfirmed')}; ${bound}`)
  return counts.unconfirmed + counts.callers === 0 ? EXIT.ok : EXIT.failed
}

function readReceipt({ sequence, boundMs, counts, ...rest }: JsonObject): RevocationReceipt {
  const names = (value: unknown) => (Array.isArray(value) ? value.map(String) : [])
  const lists = {
    confirmed: names(rest['confirmed']),
    unconfirmed: names(rest['unconfirmed']),
    silent: names(rest['silent']),
    callers: names(rest['callers']),
  }
  const counted = isJsonObject(counts) ? counts : {}
  const countOf = (kind: keyof typeof lists) => Number(counted[kind] ?? lists[kind].length)
  return {
    sequence: Number(sequence),
    counts: {
      confirmed: countOf('confirmed'),
      unconfirmed: countOf('unconfirmed'),
      silent: countOf('silent'),
      callers: countOf('callers'),
    },
    ...lists,
    boundMs: Number(boundMs),
  }
}

function readTargets(values: OptionValues<typeof OPTIONS>, problems: string[]): readonly RevocationTarget[] {
  const { attribute, handler, all } = values
  const targets: RevocationTarget[] = []
  if (attribute !== undefined) {
    const match = /^([^=[\]]+)(?:\[([^\]]+)\])?=(.*)$/s.exec(attribute)
    if (match === null) problems.push(`-a: "${attribute}" does not fit; give NAME=VALUE or NAME[KEY]=VALUE`)
    else targets.push({ kind: 'attribute', name: match[1] ?? '', key: match[2], value: match[3] ?? '' })
  }
  if (handler !== undefined) targets.push({ kind: 'handler', handler })
  if (all) targets.push({ kind: 'all' })
  return targets
}
