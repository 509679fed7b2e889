// Whatever two configs say: on trial, the answer is that of the candidate where it decides, and else that of the stable one.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import type { CheckService } from '../../src/kernel/services.ts'
import type { CheckObserver } from '../../src/policy/check-observer.ts'
import { NormalizingCheck } from '../../src/policy/normalizing-check.ts'
import { ReadableMeter } from '../redis/support.ts'
import { goodPolicy, type PolicyNode, REFUSE, startPolicy } from './policy-node.ts'

const asks = (value: string) => ({
  handler: { adapter: 'far', params: {} },
  instances: [{ template: 'listentry', params: { value } }],
})

interface Rule {
  readonly match: string
  readonly action: object
  readonly failPolicy: 'open' | 'closed'
}

const rule: fc.Arbitrary<Rule> = fc.record({
  match: fc.constantFrom(
    'true',
    'request.path.startsWith("/a/")',
    'request.path == "/b"',
    'int(request.method) > 1',
    'request.path == "/b" && int(request.method) > 1',
    'request.path.startsWith("/a/") && int(request.method) > 1',
  ),
  action: fc.constantFrom(
    REFUSE,
    asks('"/slow"'),
    asks('"/no"'),
    asks('"/hangs"'),
    asks('request.path'),
    asks('"/broken"'),
  ),
  failPolicy: fc.constantFrom('open', 'closed'),
})

const rules = fc.array(rule, { maxLength: 3 })
/** One of them may be read in two ways. */
const paths = fc.array(fc.constantFrom('/', '/b', '/a/x', '/no', '/a/../b', '/a/../no', '/b/../a/x'), {
  minLength: 1,
  maxLength: 3,
})

function policy(all: readonly Rule[], failPolicy?: Rule['failPolicy']) {
  const documents = all.map(({ match, action, failPolicy: own }, at) => {
    const spec = { match, failPolicy: failPolicy ?? own, actions: [action] }
    return JSON.stringify({ apiVersion: 'intermix.dev/v1', kind: 'rule', metadata: { name: `r${at}` }, spec })
  })
  return goodPolicy(...documents)
}

/** Whether anything was undecided since it was looked at. */
class Watching implements CheckObserver {
  isUndecided = false
  answered(): void {}
  undecided(): void {
    this.isUndecided = true
  }
  failed(): void {}
}

async function asked(node: PolicyNode, check: CheckService, path: string) {
  const outcome = check.check(MapBag.of({ 'request.path': path, 'request.method': 'GET' }), { timeoutMs: 1_000 })
  await node.clock.advance(1_000)
  const { answer } = await outcome
  return { code: answer.status.code, validForMs: answer.validForMs }
}

describe('a config on trial', () => {
  it('answers where it decides, and else the stable one does', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(rules, rules, paths, async (stable, candidate, requests) => {
        const observer = new Watching()
        const nodes = {
          stable: await startPolicy(policy(stable)),
          candidate: await startPolicy(policy(candidate), true, observer),
          // What denies although everything that cannot be decided is passed over, denies for certain.
          certain: await startPolicy(policy(candidate, 'open')),
          trial: await startPolicy(policy(stable)),
        }
        await nodes.trial.apply(policy(candidate), true)
        const says = async (name: keyof typeof nodes, path: string) => {
          const node = nodes[name]
          const check = new NormalizingCheck({ check: node.engine, allowed: new Set(), meter: new ReadableMeter() })
          return await asked(node, check, path)
        }
        try {
          for (const path of requests) {
            observer.isUndecided = false
            const { code: own } = await says('candidate', path)
            const { code: certain } = await says('certain', path)
            const { code: other } = await says('stable', path)
            const { code, validForMs } = await says('trial', path)
            const isDenied = certain !== 0
            const expected = isDenied || !observer.isUndecided ? own : other
            expect({ path, isAllowed: code === 0 }).toEqual({ path, isAllowed: expected === 0 })
            if (!isDenied && observer.isUndecided) expect(validForMs).toBe(0)
          }
        } finally {
          await Promise.all(Object.values(nodes).map((node) => node.stop()))
        }
      }),
    )
  })
})
