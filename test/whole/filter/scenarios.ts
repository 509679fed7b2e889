// What happens to nodes while requests come, and what may not come of it.
import { setTimeout } from 'node:timers/promises'
import type { Traffic } from './traffic.ts'
import type { World } from './world.ts'

const PATIENCE_MS = 60_000

/** One node after the other is killed, and comes back. */
export async function killEach(world: World, traffic: Traffic): Promise<void> {
  // Who comes back is in it again.
  for (const index of Array.from(world.nodes.keys())) {
    await world.kill(index)
    await traffic.round()
    await world.start(index)
    await traffic.round()
  }
}

/** All nodes are killed, and come back. @param awayMs how long they are away at least */
export async function killAll(world: World, traffic: Traffic, awayMs = 0): Promise<void> {
  const all = [...world.nodes.keys()]
  await Promise.all(all.map((index) => world.kill(index)))
  await Promise.all([traffic.round(), setTimeout(awayMs)])
  for (const index of all) await world.start(index)
  await traffic.round()
}

export interface Receipt {
  readonly status: number
  readonly confirmed: readonly string[]
  readonly unconfirmed: readonly string[]
  /** That have not confirmed. */
  readonly callers: readonly string[]
}

/** The backend changes its mind, and its verdicts are revoked: once that is acknowledged, no answer is of before. */
export async function revoke(world: World, traffic: Traffic): Promise<Receipt> {
  traffic.changing()
  world.changeMind()
  const receipt = await askToRevoke(world)
  if (receipt.status === 200) traffic.settled()
  await traffic.round()
  return receipt
}

/** The same while all of Envoy hangs: it cannot confirm. Once it runs again, it obeys soon. */
export async function revokeUnheard(world: World, traffic: Traffic): Promise<Receipt> {
  traffic.changing()
  world.changeMind()
  world.envoy.child.signal('SIGSTOP')
  const receipt = await askToRevoke(world).finally(() => world.envoy.child.signal('SIGCONT'))
  await untilSettled(traffic)
  return receipt
}

async function askToRevoke(world: World): Promise<Receipt> {
  const [node] = world.nodes.values()
  const answer = await fetch(`${node?.adminUrl}/v1/revocations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ kind: 'attribute', name: 'request.path', value: '/entitled' }),
  })
  return { ...((await answer.json()) as Omit<Receipt, 'status'>), status: answer.status }
}

/** All nodes get another config. Soon no answer is of before, and then none is any more. @returns how long that took, in ms */
export async function reload(world: World, traffic: Traffic): Promise<number> {
  traffic.changing()
  await world.reload()
  return await untilSettled(traffic)
}

async function untilSettled(traffic: Traffic): Promise<number> {
  const startedAt = performance.now()
  while ((await traffic.round()) > 0) {
    if (performance.now() - startedAt > PATIENCE_MS) throw new Error('answers of before do not end')
  }
  traffic.settled()
  const took = performance.now() - startedAt
  await traffic.round()
  return took
}
