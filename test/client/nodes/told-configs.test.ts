import { expect, it } from 'vitest'
import { ToldConfigs } from '../../../src/client/nodes/told-configs.ts'
import type { NodeConfig } from '../../../src/client/nodes/nodes.ts'

const config = (more: Partial<NodeConfig> = {}): NodeConfig => ({
  id: 'c1',
  vocabulary: new Map(),
  normalizes: true,
  allowedAmbiguities: new Set(['backslash', 'semicolon'] as never[]),
  ...more,
})

it.each<[string, Partial<NodeConfig>]>([
  ['other rules', { id: 'c2' }],
  ['another form of paths', { normalizes: false }],
  ['other ambiguities that it allows', { allowedAmbiguities: new Set() }],
  ['a way of reading that is not known here', { isUnknown: true }],
])('a node with %s has not the same config', (_, other) => {
  const told = new ToldConfigs()
  told.set('a', config())
  told.set('b', config({ allowedAmbiguities: new Set(['semicolon', 'backslash'] as never[]) }))
  expect(told.same?.id).toBe('c1')
  told.set('b', config(other))
  expect(told.same).toBeUndefined()
  expect([told.firstOf(['a', 'b']), told.firstOf(['b', 'a'])]).toEqual([config(), config(other)])
  told.lost('a')
  expect(told.same).toEqual(config(other))
})

it('what a node told that is not heard any more says nothing while others are, nor when nobody is', () => {
  const told = new ToldConfigs()
  for (const node of ['a', 'b', 'c']) told.set(node, config())
  told.lost('c')
  // Nobody is connected to the third one when the config changes.
  for (const node of ['a', 'b']) told.set(node, config({ id: 'c2' }))
  expect([told.same?.id, told.firstOf(['c', 'a'])?.id]).toEqual(['c2', 'c2'])
  for (const node of ['b', 'a']) told.lost(node)
  expect([told.same?.id, told.firstOf(['c', 'a'])?.id]).toEqual(['c2', 'c2'])
  for (const node of ['a', 'b']) told.delete(node)
  expect(told.same?.id).toBe('c2')
  told.set('c', config({ id: 'c3' }))
  expect([told.same?.id, told.of('c')?.id]).toEqual(['c3', 'c3'])
})

it('a config is one object, whichever node tells it, and also when all have gone and one comes back', () => {
  const told = new ToldConfigs()
  const first = config()
  told.set('a', first)
  told.set('b', config({ allowedAmbiguities: new Set(['semicolon', 'backslash'] as never[]) }))
  told.delete('a')
  expect(told.same).toBe(first)
  told.delete('b')
  told.set('c', config())
  expect(told.same).toBe(first)
  told.set('c', config({ normalizes: false }))
  expect(told.same).not.toBe(first)
})
