import { afterEach, expect, it } from 'vitest'
import { type ConfigSource, UNREADABLE } from '../../src/config/config-source.ts'
import { type LoadedConfig, parseConfigText } from '../../src/config/load.ts'
import { NO_DOMAINS } from '../../src/config/parse-text.ts'
import { WatchedConfig } from '../../src/config/watch.ts'
import { FakeClock } from '../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { TEST_ADAPTERS } from './adapters.ts'
import { DENY, MANIFEST } from './compile.ts'

/** Documents of this process: no folder, no files. */
class TextSource implements ConfigSource {
  readonly name = 'a text'
  text: string
  away = false
  readonly hints = new Set<() => void>()

  constructor(text: string) {
    this.text = text
  }

  async fingerprint(): Promise<string> {
    return this.away ? 'away' : this.text
  }

  async load(): Promise<LoadedConfig> {
    if (!this.away) return parseConfigText(this.name, this.text)
    const place = { severity: 'error', code: UNREADABLE, file: this.name, line: 0, column: 0, path: '' } as const
    return {
      name: this.name,
      documents: [],
      problems: [{ ...place, message: 'away' }],
      domains: NO_DOMAINS,
      digest: 'away',
    }
  }

  watch(hint: () => void): () => void {
    this.hints.add(hint)
    return () => this.hints.delete(hint)
  }
}

const configOf = (path: string) =>
  [
    MANIFEST,
    DENY,
    `apiVersion: config.istio.io/v1alpha2\nkind: rule\nmetadata: {name: r}\nspec: {match: request.path == "${path}", actions: [{handler: deny, instances: [nothing]}]}`,
  ].join('\n---\n')

let watched: WatchedConfig | undefined
afterEach(() => watched?.close())

async function open(source: ConfigSource) {
  const clock = new FakeClock()
  const compile = { adapters: TEST_ADAPTERS }
  watched = await WatchedConfig.open({ source, compile, clock, log: new KeptLog(), meter: new ReadableMeter() })
  return { clock, watched }
}

it('a config of any source is kept current: by its hints, by looking, and not while it is away', async () => {
  const source = new TextSource(configOf('/one'))
  const { clock, watched: config } = await open(source)
  const match = () => config.current().rules[0]?.match?.source

  source.text = configOf('/two')
  for (const hint of source.hints) hint()
  await clock.advance(100)
  await expect.poll(match).toContain('/two')

  source.away = true
  await clock.advance(1_000)
  await expect.poll(() => config.status().state).toBe('unreadable')
  expect(match()).toContain('/two')

  source.away = false
  source.text = configOf('/three')
  await clock.advance(1_000)
  await expect.poll(match).toContain('/three')
  expect(config.status().state).toBe('ok')

  config.close()
  expect(source.hints.size).toBe(0)
})

it('a config with errors is refused under the name of its source', async () => {
  await expect(open(new TextSource('kind: nothing'))).rejects.toThrow(/the config in a text has errors/)
})
