// The README, taken at its word: its commands are run against `npm start`, and what it names exists.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { BUILT_IN_TEMPLATES } from '../../src/adapter-kit/templates.ts'
import { freePorts } from '../helpers/ports.ts'
import { type Child, spawnChild } from '../helpers/process.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const readme = read('README.md')
const manual = readme + read('docs/requests.md')

interface Step {
  readonly command: string
  readonly output: string
}

/** The fenced blocks of a language. */
function blocks(language: string): string[] {
  const fences = readme.matchAll(/^```([a-z]*)\n(.*?)^```$/gms)
  return [...fences].flatMap(([, name, text = '']) => (name === language ? [text] : []))
}

/** In a `console` block every line with a dollar is a command, and what follows is its output. */
function stepsOf(block: string): Step[] {
  return block
    .split(/^\$ /m)
    .slice(1)
    .map((text) => {
      const end = text.indexOf('\n')
      return { command: text.slice(0, end), output: text.slice(end + 1).trim() }
    })
}

/** Ages and what is left of validities differ from run to run. */
function stable(output: string): string {
  return output
    .trim()
    .replace(/"(ageMs|validForMs|validUses)":\d+/g, '"$1":0')
    .replace(/\d+(\.\d+)?m?s old/g, '0s old')
}

/** What `intermix validate` says of these files beside the vocabulary of the quickstart, and how many objects they hold. */
function validate(files: Readonly<Record<string, string>>, adapters = ''): { output: string; objects: number } {
  const folder = mkdtempSync(join(tmpdir(), 'intermix-readme-'))
  const all = { 'attributes.yaml': read('examples/quickstart/attributes.yaml'), ...files }
  for (const [name, text] of Object.entries(all)) writeFileSync(join(folder, name), text)
  const { stdout, stderr } = spawnSync(process.execPath, ['bin/intermix.js', 'validate', folder], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...(adapters === '' ? {} : { INTERMIX_ADAPTERS: adapters }) },
  })
  rmSync(folder, { recursive: true })
  const objects = Object.values(all).reduce((sum, text) => sum + [...text.matchAll(/^kind:/gm)].length, 0)
  return { output: stdout + stderr, objects }
}

const steps = blocks('console').flatMap(stepsOf)

describe('the commands of the README', () => {
  let started: Child
  let environment: Record<string, string>
  let ports: Map<string, string>

  beforeAll(async () => {
    const [grpc, http, admin, prometheus] = await freePorts(4)
    const shown = ['9091', '8080', '15014', '42422']
    ports = new Map(shown.map((port, index) => [port, String([grpc, http, admin, prometheus][index])]))
    environment = {
      PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
      INTERMIX_GRPC_ADDRESS: `127.0.0.1:${grpc}`,
      INTERMIX_HTTP_ADDRESS: `127.0.0.1:${http}`,
      INTERMIX_ADMIN_ADDRESS: `127.0.0.1:${admin}`,
      INTERMIX_PROMETHEUS_ADDRESS: `127.0.0.1:${prometheus}`,
      INTERMIX_ADDRESS: `http://127.0.0.1:${http}`,
      INTERMIX_LOG_FORMAT: 'pretty',
    }
    started = await spawnChild('npm', ['start'], { cwd: root, env: environment })
    await started.waitForOutput(/ is ready\.[\s\S]*try: /, 30_000)
  })
  afterAll(async () => {
    await started.stop()
  })

  /** Runs a command as a reader would, with this run's ports. */
  function run(command: string): string {
    let line = command.replace(/^npx intermix/, 'node bin/intermix.js')
    for (const [shown, actual] of ports) line = line.replaceAll(`127.0.0.1:${shown}`, `127.0.0.1:${actual}`)
    const { stdout, stderr } = spawnSync('sh', ['-c', line], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, ...environment },
    })
    return stdout + stderr
  }

  async function adminText(path: string): Promise<string> {
    return await (await fetch(`http://127.0.0.1:${ports.get('15014')}${path}`)).text()
  }

  it('start what the README shows', () => {
    const shown = readme.match(/^```\n(Intermix [\s\S]*?)^```/m)?.[1] ?? ''
    const keys = (text: string) => [...text.matchAll(/^ {2}([a-z]+)(?: |:)/gm)].map(([, key]) => key)
    expect(keys(shown)).toContain('try')
    const block = started.output().slice(started.output().indexOf('Intermix '))
    expect(keys(block).slice(0, keys(shown).length)).toEqual(keys(shown))
    const config = /^ {2}config .*$/m
    expect(block.match(config)?.[0]).toBe(shown.match(config)?.[0])
  })

  it('answer what the README says, in its order', async () => {
    // Until the private Redis is followed, a verdict may be voided once: a reader is never so quick.
    await expect.poll(() => adminText('/metrics')).toContain('intermix_revocations_in_touch 1')
    expect(steps.length).toBeGreaterThan(5)
    for (const { command, output } of steps) expect(stable(run(command)), command).toBe(stable(output))
  })

  it('find the record that was reported in the log and in the metrics', async () => {
    await started.waitForOutput(/"path":"\/books"/)
    const url = `http://127.0.0.1:${ports.get('42422')}/metrics`
    const metrics = async () => await (await fetch(url)).text()
    await expect.poll(metrics).toMatch(/istio_requests_total\{destination="books".*\} 1/)
  })

  it('find every metric that the README and its manual name', async () => {
    const names = new Set([...manual.matchAll(/`(intermix_[a-z_]*[a-z])/g)].map(([, name]) => name))
    expect(names.size).toBeGreaterThan(10)
    // Those of a node of several processes are its parent's: test/whole/processes.test.ts finds them.
    const own = [...names].filter((name) => !name?.startsWith('intermix_node_process'))
    // Some are there once the workers have looked at their queues.
    const missing = async () => {
      const text = await adminText('/metrics')
      return own.filter((name) => !text.includes(`# TYPE ${name} `))
    }
    await expect.poll(missing).toEqual([])
  })

  it('know every flag that the README and its manual name', () => {
    const commands = [
      'node',
      'worker',
      'check',
      'explain',
      'revoke',
      'validate',
      'expr',
      'dead-letters',
      'report',
      'quota',
    ]
    const help = commands.map((name) => run(`npx intermix ${name} --help`)).join('\n')
    const flags = new Set([...manual.matchAll(/(?<=[\s`])--[a-z][a-z-]+/g)].map(([flag]) => flag))
    for (const flag of ['--help', '--build', '--profile', '--scale', '--omit']) flags.delete(flag)
    expect(flags.size).toBeGreaterThan(8)
    for (const flag of flags) expect(help).toContain(flag)
  })

  it('end when npm is told to', async () => {
    expect((await started.stop(15_000)).code).toBe(0)
    expect(started.output()).toContain('stopped')
  })
})

describe('the README', () => {
  it('shows the sample adapter as it is, with a rule that uses it', () => {
    const [shown = ''] = blocks('ts')
    const source = read('examples/adapters/office-hours.ts')
    expect(source.slice(source.indexOf('import '))).toBe(shown)
    const rules = blocks('yaml').join('---\n')
    const { output } = validate({ 'rule.yaml': rules }, 'examples/adapters/office-hours.ts')
    expect(output).toBe('3 objects, 2 rules; 0 errors, 0 warnings\n')
    expect(rules).toContain(read('examples/quickstart/limit-keys.yaml').replace(/^#.*\n/, ''))
  })

  it('quotes the proxy configs as they are shipped', () => {
    const quoted = blocks('nginx')
    expect(quoted).toHaveLength(1)
    for (const text of quoted) expect(read('deploy/nginx/nginx.conf')).toContain(text)
  })

  it('links to files that exist', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path = '']) => path)
    expect(links.length).toBeGreaterThan(5)
    for (const path of links) expect(existsSync(join(root, path)), path).toBe(true)
  })

  it('names all built-in adapters', async () => {
    const { builtInAdapters } = await import('../../src/adapters/index.ts')
    for (const name of builtInAdapters().keys()) expect(readme).toContain(`\`${name}\``)
  })

  it('scales services that the compose file has', () => {
    const { services } = parse(read('docker-compose.yml'), { merge: true }) as { services: Record<string, unknown> }
    const scaled = [...readme.matchAll(/--scale (\w+)=/g)].map(([, name]) => name)
    expect(scaled).toEqual(['node', 'worker'])
    for (const name of scaled) expect(services).toHaveProperty(name ?? '')
  })
})

describe('the README of the examples', () => {
  const examples = read('examples/README.md')

  it('shows rules that can be used as they stand', () => {
    const shown = [...examples.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text)
    expect(shown.length).toBeGreaterThan(0)
    const { output, objects } = validate({ 'rules.yaml': shown.join('---\n') })
    expect(output).toBe(`${objects} objects, ${objects - 1} rules; 0 errors, 0 warnings\n`)
  })

  it('names every template with the fields that it tells of', () => {
    for (const { name, fields } of BUILT_IN_TEMPLATES.values()) {
      const row = examples.split('\n').find((line) => line.startsWith('| `') && line.includes(`\`${name}\``)) ?? ''
      expect(row, name).not.toBe('')
      if (row.includes('as in Mixer')) continue
      const told = Object.keys(fields).filter((field) => !field.startsWith('monitoredResource'))
      for (const field of told) expect(row).toContain(`\`${field}\``)
    }
  })
})
