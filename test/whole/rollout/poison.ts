// Configs that would harm a mesh, made by chance: each kind in many forms.
import { config, rule } from '../../rollout/preflight/configs.ts'
import type { ConfigFile } from '../../../src/rollout/version.ts'
import type { Picker } from '../../properties/random.ts'

export interface Poison {
  readonly kind: string
  readonly files: readonly ConfigFile[]
}

const DENY_ADMIN = rule('admin', 'request.path.startsWith("/admin")')

/** A rule that asks a handler of an adapter for every request. */
export function asking(adapter: string): string {
  return `apiVersion: intermix.dev/v1
kind: rule
metadata: {name: all}
spec: {actions: [{handler: {adapter: ${adapter}, params: {}}, instances: [{template: checknothing}]}]}
`
}

type Make = (pick: Picker, number: number) => readonly ConfigFile[]

const KINDS: Readonly<Record<string, Make>> = {
  'an empty field': (pick) =>
    config(DENY_ADMIN, rule('empty', 'true').replace(pick.of(['deny', 'nothing', 'empty']), '')),
  'a word that is not declared': (_, n) => config(DENY_ADMIN, rule('typo', `request.pth${n} == "/"`)),
  'a handler that is not there': (_, n) => config(DENY_ADMIN, rule('gone', 'true').replace('deny', `gone${n}`)),
  'no rules left': (_, n) => [{ path: 'rules.yaml', text: `# ${n}\n` }],
  'text that is no YAML': (pick, n) => [
    ...config(DENY_ADMIN),
    { path: `z${n}.yaml`, text: pick.of(['a: [', '\t- x', '"']) },
  ],
  'aliases upon aliases': (_, n) => [...config(DENY_ADMIN), { path: 'bomb.yaml', text: aliases(n) }],
  'nesting without end': (pick) => [
    ...config(DENY_ADMIN),
    { path: 'deep.yaml', text: `${'['.repeat(20_000 + pick.int(50_000))}\n` },
  ],
  'a predicate of great size': (pick) =>
    config(
      DENY_ADMIN,
      rule('huge', Array.from({ length: 3_000 + pick.int(9_000) }, (_, i) => `request.path == "/${i}"`).join(' || ')),
    ),
  'a huge regular expression': (pick) =>
    config(
      DENY_ADMIN,
      rule('regex', `request.path.matches("(${'a?'.repeat(400 + pick.int(600))}){${500 + pick.int(500)}}")`),
    ),
  'a predicate that takes long': (pick, n) => {
    const many = `[${Array.from({ length: 100 + pick.int(100) }, (_, i) => i).join(', ')}]`
    const slow = `${many}.all(a, ${many}.all(b, ${many}.all(c, a + b + c >= 0)))`
    return config(DENY_ADMIN, rule(`slow${n}`, `!(${slow})`))
  },
  'all is denied': (pick, n) =>
    config(
      rule('admin', pick.of(['true', 'request.path != ""', `request.path != "/${n}"`, 'request.path.startsWith("/")'])),
    ),
  'all is allowed': (_, n) => config(rule('admin', `request.path == "/none-${n}"`)),
  'a path too many is denied': (pick, n) =>
    config(
      DENY_ADMIN,
      rule('more', `request.path == "${pick.of(['/a', '/b', '/c', '/'])}" || request.path == "/${n}"`),
    ),
  'every request fails': (_, n) => config(DENY_ADMIN, rule('other', `request.path == "/${n}"`), asking('throwing')),
  'it ends the process at the third request': (_, n) =>
    config(DENY_ADMIN, rule('other', `request.path == "/${n}"`), asking('thirdrequest')),
  'it ends the process at its start': (_, n) =>
    config(DENY_ADMIN, rule('other', `request.path == "/${n}"`), asking('atstart')),
}

/** The kinds in turns, each config another one: the same content would not be tried again. */
export function poison(pick: Picker, number: number): Poison {
  const kinds = Object.entries(KINDS)
  const [kind, make] = kinds[number % kinds.length] as (typeof kinds)[number]
  const files = make(pick, number).map(({ path, text }) => ({ path, text: `# ${number}\n${text}` }))
  return { kind, files }
}

function aliases(salt: number): string {
  const lines = [`a0: &a0 [x${salt}, x, x, x, x, x, x, x, x, x]`]
  for (let i = 1; i < 12; i++)
    lines.push(`a${i}: &a${i} [${Array.from({ length: 10 }, () => `*a${i - 1}`).join(', ')}]`)
  return `${lines.join('\n')}\n`
}
