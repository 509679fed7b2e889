// The filter in a real Envoy with two workers, before three nodes that are killed, told to forget, and given other configs under load.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { filterModule } from '../../helpers/filter-module.ts'
import { toolOrSkip } from '../../helpers/tools.ts'
import { killAll, killEach, reload, revoke, revokeUnheard } from './scenarios.ts'
import { startTraffic, type Traffic } from './traffic.ts'
import { startWorld, type World } from './world.ts'

const binary = toolOrSkip('envoy')

const PLACES = [
  { place: 'before nodes', sidecar: false },
  { place: 'before a sidecar', sidecar: true },
]

describe.skipIf(binary === undefined).each(PLACES)('an Envoy whose filter has all answers, $place', ({ sidecar }) => {
  let world: World
  let traffic: Traffic
  beforeAll(async () => {
    world = await startWorld({ binary: binary ?? '', validSeconds: 600, sidecar })
    traffic = await startTraffic(world)
  })
  afterAll(async () => {
    await traffic?.stop()
    await world?.stop()
  })

  it('loses no request when nodes are killed, one after the other', async () => {
    await killEach(world, traffic)
    expect(traffic.findings).toEqual([])
  })

  it('answers on when all nodes are away', async () => {
    await killAll(world, traffic)
    expect(traffic.findings).toEqual([])
  })

  it('confirms revocations when it obeys them', async () => {
    for (let time = 0; time < 3; time++) {
      expect(await revoke(world, traffic)).toMatchObject({ status: 200, unconfirmed: [], callers: [] })
    }
    expect(traffic.findings).toEqual([])
  })

  it('is named by a revocation that it has not heard of', async () => {
    const { status, callers } = await revokeUnheard(world, traffic)
    expect(status).toBe(202)
    // One for each worker, whichever nodes know of it.
    const filters = callers
      .map((name) => name.replace(/ \(at node .*/, ''))
      .filter((name) => name.includes('envoy-filter-'))
    expect(new Set(filters).size).toBe(2)
    for (const name of filters) expect(name.endsWith(' behind side')).toBe(sidecar)
    expect(traffic.findings).toEqual([])
  })

  it('goes over to another config with its nodes', async () => {
    for (let time = 0; time < 2; time++) await reload(world, traffic)
    expect(traffic.findings).toEqual([])
    expect(await world.envoy.stat('wasmcustom.intermix.answers.kept')).toBeGreaterThan(traffic.answered / 2)
  })
})

describe.skipIf(binary === undefined)('an Envoy whose filter traps', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld({ binary: binary ?? '', validSeconds: 600, module: await filterModule(plantTrap) })
  })
  afterAll(() => world?.stop())

  const statusOf = async (path: string, headers: Readonly<Record<string, string>> = {}) =>
    (await fetch(world.envoy.url + path, { headers })).status

  it('lets nothing through by that, and starts the filter anew', async () => {
    for (let time = 0; time < 3; time++) {
      await expect.poll(() => statusOf('/open'), { timeout: 20_000 }).toBe(200)
      await expect.poll(() => statusOf('/closed'), { timeout: 20_000 }).toBe(403)
      expect(await statusOf('/open', { 'x-trap': '1' })).toBe(503)
      expect([403, 503]).toContain(await statusOf('/closed'))
    }
  })
})

const LOADED = 'current.load(this.settings.source)\n    const kept'

function plantTrap(path: string, text: string): string {
  if (path !== 'assembly/plugin/plugin.ts') return text
  if (!text.includes(LOADED)) throw new Error('the trap has no place')
  return text.replace(LOADED, LOADED.replace('\n', "\n    if (current.header(bytesOf('x-trap')) >= 0) unreachable()\n"))
}
