import { describe, expect, it } from 'vitest'
import { Backends, deny, listEntry, object, scripted, serve } from '../properties/mixer-defects/node.ts'

const rule = (name: string, handler: string, instance: string, notes = '') =>
  object('rule', name, `{actions: [{handler: ${handler}, instances: [${instance}]}]}`, { notes })

/** The details that a node has logged since, each as its message and its fields. */
function linesOf(details: string[]) {
  return details.splice(0).map((line) => {
    const [, message = '', fields = ''] = /^([^{]+) (\{.*\})$/.exec(line) ?? []
    return { message, fields: JSON.parse(fields) as unknown }
  })
}

describe('at debug level', () => {
  it('a denied check leaves a line, from a backend and from the cache, and an allowed one does not', async () => {
    const backends = new Backends()
    backends.checks.set('h', ({ fields }) =>
      fields['value'] === 'bad' ? deny('secret reason') : { status: { code: 0, message: '' } },
    )
    const node = await serve(backends, scripted('h'), listEntry('i', 'a'), rule('r', 'h', 'i'))
    await node.check({ a: 'good' })
    expect(linesOf(node.details)).toEqual([])
    await node.check({ a: 'bad' })
    await node.check({ a: 'bad' })
    const about = { rule: 'r.rule.istio-system', handler: 'h.handler.istio-system', code: 'PERMISSION_DENIED' }
    expect(linesOf(node.details)).toEqual([
      { message: 'check denied', fields: { ...about, tier: 'backend' } },
      { message: 'check denied', fields: { ...about, tier: 'local' } },
    ])
  })

  it('a backend that gives no verdict leaves a line with what its rule makes of it', async () => {
    const notes = 'policy.intermix.dev/failPolicy: open'
    const node = await serve(new Backends(), scripted('h'), listEntry('i', 'a'), rule('r', 'h', 'i', notes))
    const pending = node.check({ a: 'secret value' })
    await node.clock.advance(100)
    expect((await pending).status.code).toBe(0)
    const [line, ...more] = linesOf(node.details)
    expect(line).toEqual({
      message: 'no verdict: the fail policy of the rule decides',
      fields: {
        rule: 'r.rule.istio-system',
        handler: 'h.handler.istio-system',
        instance: 'i.instance.istio-system',
        code: 'BACKEND_FAILED',
        reason: expect.any(String),
        failPolicy: 'open',
      },
    })
    expect(more).toEqual([])
  })

  it('an instance that cannot be filled leaves a line without what the request holds', async () => {
    const node = await serve(new Backends(), scripted('h'), listEntry('i', 'ip(a)'), rule('r', 'h', 'i'))
    await node.check({ a: 'secret value' })
    const lines = linesOf(node.details)
    expect(lines).toContainEqual({
      message: 'no verdict: the fail policy of the rule decides',
      fields: expect.objectContaining({ instance: 'i.instance.istio-system', failPolicy: 'closed' }),
    })
    expect(JSON.stringify(lines)).not.toContain('secret value')
  })
})
