// Defects of the filter, planted in its sources before they are compiled: each by one text that another one takes the place of.

import { compiledFilter } from '../../filter/filter-bench.ts'
import type { CheckedModule } from '../../helpers/proxy-wasm/vm.ts'

export interface FilterDefect {
  readonly name: string
  /** In `filter/assembly`. */
  readonly file: string
  readonly text: string
  readonly planted: string
}

const CACHE = 'cache/answer-cache.ts'
const KEEPER = 'plugin/keeper.ts'
const REVOCATIONS = 'node/revocations.ts'
const PLUGIN = 'plugin/plugin.ts'

export const FILTER_DEFECTS: readonly FilterDefect[] = [
  {
    name: 'it gives answers of another config',
    file: CACHE,
    text: 'if (isBytes(this.configs[i].id, id)) return this.configs[i]',
    planted: 'return this.configs[i]',
  },
  {
    name: 'it takes all requests of a config for ones of the same rules',
    file: PLUGIN,
    text: 'failsOpen, choosing, reads, request, kept)',
    planted: 'failsOpen, [], reads, request, kept)',
  },
  {
    name: 'it counts the age of an answer from when it came',
    file: KEEPER,
    text: 'kept.createdAt = askedAt - told.ageMs',
    planted: 'kept.createdAt = now - told.ageMs',
  },
  {
    name: 'it gives answers beyond their life',
    file: KEEPER,
    text: 'kept.freshUntil = freshUntil\n',
    planted: 'kept.freshUntil = freshUntil + 10_000\n',
  },
  {
    name: 'it gives what is stale beyond its bound',
    file: KEEPER,
    text: 'kept.staleUntil = freshUntil + told.staleForMs',
    planted: 'kept.staleUntil = Infinity',
  },
  {
    name: 'it does not count uses',
    file: PLUGIN,
    text: 'kept.usesLeft--\n',
    planted: '\n',
  },
  {
    name: 'it does not ask what predicates say of a request',
    file: KEEPER,
    text: 'if (question.isFixed) continue',
    planted: 'if (question.isFixed || question.test !== null) continue',
  },
  {
    name: 'it does not heed revocations of attributes',
    file: REVOCATIONS,
    text: 'if (isAbout(revocation, chosen, request)) return false',
    planted: '',
  },
  {
    name: 'it does not heed revocations of everything',
    file: REVOCATIONS,
    text: 'if (sequence < this.all) return false',
    planted: '',
  },
  {
    name: 'it gives answers of any age where it is out of touch',
    file: 'node/touch.ts',
    text: ': this.partitionMaxAgeMs\n',
    planted: ': Infinity\n',
  },
  {
    name: 'it reads the first line of a header only',
    file: 'request/headers.ts',
    text: 'if (this.find(name, first + 1) < 0) return',
    planted: 'return',
  },
  {
    name: 'it lets pass what nobody judges although a rule is closed',
    file: PLUGIN,
    text: 'return rules !== null && rules.failsOpen',
    planted: 'return rules !== null',
  },
  {
    name: 'it does not tell nodes what the operator has set',
    file: 'node/check-writer.ts',
    text: 'i < set.length; i += 2',
    planted: 'false; i += 2',
  },
  {
    name: 'it does not heed revocations of what the operator has set',
    file: REVOCATIONS,
    text: 'if (revocation.isSet) return true',
    planted: 'if (revocation.isSet) return false',
  },
  {
    name: 'it reads IPv6 addresses with their brackets',
    file: 'request/socket-text.ts',
    text: 'load<u8>(text) === BRACKET',
    planted: 'false',
  },
  {
    name: 'it appends where it should replace',
    file: 'plugin/apply.ts',
    text: '} else if (operation.operation === Operation.REPLACE || isHost',
    planted: '} else if (isHost',
  },
]

/** Of what rules charge for: `paid-uses.ts` has to notice them. */
export const PAID_DEFECTS: readonly FilterDefect[] = [
  { name: 'it does not count what it gives', file: PLUGIN, text: 'kept.usesLeft--\n', planted: '\n' },
  {
    name: 'it keeps what nobody has used',
    file: PLUGIN,
    text: 'if (!this.paid.isEmpty) this.giveBack(nodes, now)\n',
    planted: '\n',
  },
  {
    name: 'it gives back more than it has',
    file: PLUGIN,
    text: 'nodes.giveBack(ended[i].kept.usesLeft,',
    planted: 'nodes.giveBack(ended[i].kept.usesLeft + 1,',
  },
  {
    name: 'it loses what it cannot keep',
    file: PLUGIN,
    text: 'if (told.isPaid) this.account(told, kept, pending)\n',
    planted: '\n',
  },
  {
    name: 'it gives what was paid for in another window',
    file: KEEPER,
    text: ': kept.freshUntil\n',
    planted: ': kept.freshUntil + 1_500\n',
  },
  {
    name: 'it remembers refusals for seconds',
    file: KEEPER,
    text: 'const freshUntil = askedAt + told.validForMs\n',
    planted:
      'const freshUntil = askedAt + told.validForMs + (told.answer.code === Code.RESOURCE_EXHAUSTED ? 3_000 : 0)\n',
  },
]

/** @throws Error where the source does not have the text any more */
export async function plantedFilter({ file, text, planted }: FilterDefect): Promise<CheckedModule> {
  let isPlanted = false
  const module = await compiledFilter((path, source) => {
    if (path !== `assembly/${file}`) return source
    isPlanted = source.includes(text)
    return source.replace(text, planted)
  })
  if (!isPlanted) throw new Error(`${file} does not have the text in which to plant the defect`)
  return module
}
