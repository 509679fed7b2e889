// Requests that were once answered wrongly, as they are kept beside the checkout: the real command, asked with curl.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { startRedis } from '../helpers/redis.ts'
import { startIntermix } from './intermix.ts'

const run = promisify(execFile)
const folder = fileURLToPath(new URL('../../../shared/cases/', import.meta.url))

/** By folder: the HTTP statuses that are right, one a line of curl. */
const CASES: Readonly<Record<string, readonly string[]>> = {
  '02-forward-auth-without-uri-allows': ['403', '403', '403', '400'],
  '03-repeated-forwarded-headers': ['403', '403', '403'],
  '01-quota-not-charged-through-proxies': ['200', '200', '429', '429', '429'],
  '08-large-request-headers': ['200'],
}

describe.skipIf(!existsSync(folder))('case 09', () => {
  it('grants the first call of redisquota', async () => {
    const [server, copy] = await Promise.all([startRedis(), mkdtemp(join(tmpdir(), 'intermix-case-'))])
    const source = `${folder}09-redisquota-first-call`
    const config = await readFile(`${source}/config/config.yaml`, 'utf8')
    await writeFile(join(copy, 'config.yaml'), config.replace('127.0.0.1:19601', server.url.replace('redis://', '')))
    const node = await startIntermix({ role: 'all', config: copy, nodeId: 'case', flags: ['--redis', 'none'] })
    try {
      const env = { ...process.env, HTTP: `http://127.0.0.1:${node.httpPort}` }
      // At once, where the case waits.
      const script = (await readFile(`${source}/request.sh`, 'utf8')).replace('sleep 4;', '')
      const { stdout } = await run('bash', ['-c', script], { env })
      expect([...stdout.matchAll(/"granted":(\d+)/g)].map(([, granted]) => granted)).toEqual(['1', '1'])
    } finally {
      await node.child.stop()
      await server.stop()
      await rm(copy, { recursive: true })
    }
  })
})

describe.skipIf(!existsSync(folder))('the cases of forward-auth', () => {
  it.each(Object.entries(CASES))('%s', async (name, statuses) => {
    const config = `${folder}${name}/config`
    const node = await startIntermix({ role: 'all', config, nodeId: 'case', flags: ['--redis', 'none'] })
    try {
      const env = { ...process.env, HTTP: `http://127.0.0.1:${node.httpPort}` }
      const { stdout } = await run('bash', [`${folder}${name}/request.sh`], { env })
      expect(stdout.split('\n').filter((line) => /^\d{3}$/.test(line))).toEqual(statuses)
      if (statuses.includes('400')) expect(node.child.output()).toContain('"reason":"undescribed"')
    } finally {
      await node.child.stop()
    }
  })
})
