// The quickstart's rule on /admin, through the shipped recipe of every proxy, and whatever way the path is written.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROOT } from '../intermix.ts'
import { toolOrSkip } from '../../helpers/tools.ts'
import { spellingsOf } from '../../wire/path-spellings.ts'
import { type Doors, missingTools, startDoors } from './doors.ts'

const missing = missingTools().filter((tool) => toolOrSkip(tool) === undefined)
const AMBIGUOUS = ['/%2fadmin/s.txt', '/x/..;/admin/s.txt', '/x/%5c..%5cadmin/s.txt', '/x//../admin/s.txt', '/admin%00']

let doors: Doors
const pass = (proxy: Doors['proxies'][number], target: string) =>
  proxy.pass({ method: 'GET', target, version: 'HTTP/1.1', headers: [['Host', 'shop.example']] })

describe.skipIf(missing.length > 0)('a rule on /admin', () => {
  beforeAll(async () => {
    doors = await startDoors({ config: join(ROOT, 'examples/quickstart') })
  })
  afterAll(async () => {
    await doors.stop()
  })

  it('refuses every spelling of it at every proxy', async () => {
    for (const proxy of doors.proxies) {
      const passed: string[] = []
      for (const target of ['/admin', ...spellingsOf('/admin/s.txt')]) {
        const { status, delivered } = await pass(proxy, target)
        if (status < 300 || status >= 500 || delivered !== undefined) passed.push(`${status} ${target}`)
      }
      expect(passed, proxy.name).toEqual([])
    }
  })

  it('says 403, and 400 to what can be read in two ways, where only the node tidies the path up', async () => {
    for (const proxy of doors.proxies.filter(({ name }) => name !== 'Envoy as shipped')) {
      for (const target of AMBIGUOUS) expect((await pass(proxy, target)).status, `${proxy.name} ${target}`).toBe(400)
      for (const target of [
        '/admin',
        '/%61dmin',
        '//admin',
        '/./admin',
        '/x/../admin',
        '/x/%2e%2e/admin',
        '/admin/../open',
      ]) {
        expect((await pass(proxy, target)).status, `${proxy.name} ${target}`).toBe(403)
      }
    }
  })

  it('lets other paths pass as they came', async () => {
    for (const proxy of doors.proxies) {
      for (const target of ['/open', '/open/%7euser;a=1?b=%2F..', '/x/admin']) {
        const { delivered } = await pass(proxy, target)
        expect(delivered?.target.replace('%7e', '~'), `${proxy.name} ${target}`).toBe(target.replace('%7e', '~'))
      }
    }
  })

  it('is explained, and revoked, by any spelling', async () => {
    const ask = async (operation: string, body: object) => {
      const headers = { 'content-type': 'application/json' }
      const init = { method: 'POST', headers, body: JSON.stringify(body) }
      const answer = await fetch(`${doors.adminUrl}/v1/${operation}`, init)
      return { status: answer.status, body: await answer.json() }
    }
    const matched = { rule: 'deny-admin.rule.istio-system', matched: true }
    const explained = await ask('explain', { attributes: { 'request.path': '/admin/../open' } })
    expect(explained.body).toMatchObject({
      rules: expect.not.arrayContaining([expect.objectContaining(matched)]) as unknown,
      unresolvedDots: { rules: expect.arrayContaining([expect.objectContaining(matched)]) as unknown },
    })
    expect((await ask('explain', { attributes: { 'request.path': '/%2fadmin' } })).status).toBe(400)
    const target = { kind: 'attribute', name: 'request.path', value: '//%61dmin' }
    expect((await ask('revocations', target)).status).toBe(200)
    expect((await ask('revocations', { ...target, value: '/%2fadmin' })).status).toBe(400)
  })
})
