import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { flagOf, variableOf } from '../../src/settings/options.ts'
import { readSettings, type Settings } from '../../src/settings/settings.ts'
import { ROLES, type Role, type SettingSpec } from '../../src/settings/setting-spec.ts'
import { SETTINGS } from '../../src/settings/settings-table.ts'

function settings(role: Role, argv: string[], env: Record<string, string> = {}): Settings {
  const result = readSettings(role, argv, env)
  if ('problems' in result) throw new Error(result.problems.join('\n'))
  return result.settings
}

function problems(role: Role, argv: string[], env: Record<string, string> = {}): readonly string[] {
  const result = readSettings(role, argv, env)
  return 'problems' in result ? result.problems : []
}

const config = ['--config', 'examples']

describe('settings', () => {
  it('have defaults for everything but the config folder', () => {
    expect(settings('all', config)).toMatchObject({
      role: 'all',
      config: 'examples',
      grpcAddress: { host: '0.0.0.0', port: 9091 },
      httpAddress: { host: '0.0.0.0', port: 8080 },
      adminAddress: { host: '127.0.0.1', port: 15014 },
      prometheusAddress: { host: '0.0.0.0', port: 42422 },
      defaultNamespace: 'istio-system',
      redisTimeoutMs: 50,
      checkTimeoutMs: 1000,
      shutdownTimeoutMs: 10_000,
      cacheLocal: true,
      cacheMesh: true,
      cacheRedis: undefined,
      queueRedis: undefined,
      redisGiven: false,
      adapters: [],
      trustForwarded: ['127.0.0.0/8', '::1/128', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
      logFormat: 'auto',
    })
  })

  it('read every kind of value from flags', () => {
    const read = settings('all', [
      '--config=a=b',
      '--grpc-address=[::1]:0',
      '--http-address',
      ':8081',
      '--redis-timeout=1.5s',
      '--cache-local',
      'off',
      '--cache-mesh',
      '--cache-max-entries=5',
      '--cache-max-bytes=1.5MiB',
      '--max-message-size=64k',
      '--adapters=./a.ts, b',
      '--adapters=c',
      '--trust-forwarded=10.0.0.0/8,::1',
      '--log-level=DEBUG',
      '--node-id=edge-1',
    ])
    expect(read).toMatchObject({
      config: 'a=b',
      grpcAddress: { host: '::1', port: 0 },
      httpAddress: { host: '0.0.0.0', port: 8081 },
      redisTimeoutMs: 1500,
      cacheLocal: false,
      cacheMesh: true,
      cacheMaxEntries: 5,
      cacheMaxBytes: 1_572_864,
      maxMessageSize: 65_536,
      adapters: ['./a.ts', 'b', 'c'],
      trustForwarded: ['10.0.0.0/8', '::1'],
      logLevel: 'debug',
      nodeId: 'edge-1',
    })
  })

  it('read the environment, let flags win over it and the last flag win over earlier ones', () => {
    const env = { INTERMIX_CONFIG: 'env', INTERMIX_REDIS_TIMEOUT: '20ms', INTERMIX_LOG_LEVEL: '', HOME: '/' }
    expect(settings('all', [], env)).toMatchObject({ config: 'env', redisTimeoutMs: 20, logLevel: 'info' })
    expect(settings('all', ['--config', 'a', '--config', 'b'], env)).toMatchObject({ config: 'b' })
  })

  it('reports all problems at once, each with its place and what is allowed', () => {
    const found = problems(
      'node',
      [
        '--grcp-address',
        'x',
        '--http-address',
        '8080',
        '--log-level=loud',
        '--redis-timeout=50',
        '--redis=none',
        'nowhere',
      ],
      { INTERMIX_CACHE_MAX_ENTRYS: '1', INTERMIX_CACHE_MAX_BYTES: 'lots' },
    )
    expect(found).toEqual([
      '--grcp-address: no such flag; did you mean --grpc-address?',
      '--config (or INTERMIX_CONFIG) is missing: Folder with the config: rules, handlers, instances and manifests in YAML; or the URL of a Redis, to run what intermix rollout publishes there.',
      '--http-address: "8080" does not fit; give HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080 (port 0 takes a free one), or unix:PATH',
      '--redis-timeout: "50" does not fit; give a value with a unit such as 50ms, 10s or 1h30m, from 1ms to 10s',
      'INTERMIX_CACHE_MAX_BYTES: "lots" does not fit; give a value such as 64MiB, 512KiB or 1000000, from 1MiB',
      '--log-level: "loud" does not fit; give one of debug, info, warn, error',
      'nowhere: node takes flags only',
      'INTERMIX_CACHE_MAX_ENTRYS: no such variable; did you mean INTERMIX_CACHE_MAX_ENTRIES?',
    ])
  })

  it.each([
    ['--cache-max-entries=0', 'from 1 to 50000000'],
    ['--cache-max-entries=1.5', 'from 1 to 50000000'],
    ['--redis-timeout=1h', 'from 1ms to 10s'],
    ['--grpc-address=a:70000', 'HOST:PORT'],
    ['--grpc-address=[1.2.3.4]:80', 'HOST:PORT'],
    ['--trust-forwarded=10.0.0.0/40', 'CIDR'],
    ['--trust-forwarded=10.0.0.0/8,here', 'CIDR'],
    ['--cache-local=maybe', 'on or off'],
    ['--node-id=a_b', 'letters, digits and -'],
    ['--default-namespace=Prod', 'lower-case'],
    ['--spool-dir', 'needs a value'],
    ['--redis', 'needs a value'],
    ['--config', 'needs a value'],
  ])('refuse %s', (argument, allowed) => {
    const found = problems('all', [...config, argument])
    expect(found).toHaveLength(1)
    expect(found[0]).toContain(allowed)
  })

  it('refuse a flag of another role, but not its variable', () => {
    const argv = [...config, '--redis=redis://r']
    expect(problems('node', [...argv, '--prometheus-address=:1'])).toEqual([
      '--prometheus-address: not a setting of node, only of worker and all',
    ])
    expect(problems('node', [...argv, '--prometheus-address'])).toEqual([
      '--prometheus-address: needs a value',
      '--prometheus-address: not a setting of node, only of worker and all',
    ])
    expect(problems('node', argv, { INTERMIX_PROMETHEUS_ADDRESS: ':1', INTERMIX_ADDRESS: 'http://x' })).toEqual([])
  })

  it('read a Unix socket as an address, where requests come in', () => {
    expect(settings('all', [...config, '--grpc-address=unix:/run/intermix']).grpcAddress).toEqual({
      host: '',
      port: 0,
      path: '/run/intermix',
    })
    expect(settings('all', [...config, '--http-address=unix:/run/http']).httpAddress.path).toBe('/run/http')
    expect(problems('all', [...config, '--admin-address=unix:/run/intermix'])[0]).toContain('HOST:PORT')
    expect(problems('all', [...config, '--grpc-address=unix:/a', '--http-address=unix:/a'])).toEqual([
      '--http-address: --grpc-address listens on unix:/a already; give another path',
    ])
    expect(problems('all', [...config, '--grpc-address=unix:/a', '--http-address=unix:/b'])).toEqual([])
    expect(problems('all', [...config, '--socket-mode=rw'])[0]).toContain('such as 0660')
    expect(problems('all', [...config, '--grpc-address=unix:'])[0]).toContain('or unix:PATH')
  })

  it.each([
    [['--grpc-tls-cert=a'], '--grpc-tls-key: missing'],
    [['--grpc-tls-key=a'], '--grpc-tls-cert: missing'],
    [['--grpc-tls-client-ca=a'], '--grpc-tls-client-ca: needs --grpc-tls-cert'],
    [['--grpc-tls-cert=a', '--grpc-tls-key=b', '--transport=grpc-js'], 'give --transport native'],
    [['--grpc-address=unix:/x', '--transport=grpc-js'], '--grpc-address: grpc-js listens at no Unix socket'],
    [['--http-tls-cert=a'], '--http-tls-key: missing'],
    [
      ['--http-tls-cert=a', '--http-tls-key=b', '--http-tls-client-names=c'],
      'client-names: needs --http-tls-client-ca',
    ],
    [['--admin-tls-key=a'], '--admin-tls-cert: missing'],
    [['--admin-tls-client-ca=a'], '--admin-tls-client-ca: needs --admin-tls-cert'],
    [['--http-address=unix:/x', '--http-tls-cert=a', '--http-tls-key=b'], 'a Unix socket has no use for TLS'],
    [['--prometheus-tls-cert=a'], '--prometheus-tls-cert: not a setting of node'],
  ])('refuse half of what TLS needs: %s', (argv, problem) => {
    expect(problems('node', [...config, '--redis=none', ...argv])).toEqual([expect.stringContaining(problem)])
  })

  it('refuse an admin port that other machines reach, unless certificates say who may ask, or the operator does', () => {
    const open = /^--admin-address: .* can be reached by other machines.*--admin-tls-client-ca.*--admin-insecure on/
    const tls = ['--admin-tls-cert=a', '--admin-tls-key=b']
    for (const role of ROLES) {
      const needed = role === 'sidecar' ? ['--nodes=a:1'] : [...config, '--redis=redis://r']
      const of = (...argv: string[]) => problems(role, [...needed, ...argv])
      for (const host of ['0.0.0.0', '10.0.0.1', '[::]', 'node.internal']) {
        const address = `--admin-address=${host}:15014`
        expect(of(address)).toEqual([expect.stringMatching(open)])
        expect(of(address, ...tls)).toEqual([expect.stringMatching(open)])
        expect(of(address, ...tls, '--admin-tls-client-ca=c')).toEqual([])
        expect(of(address, '--admin-insecure')).toEqual([])
      }
      for (const host of ['127.0.0.1', '127.1.2.3', '[::1]', 'localhost'])
        expect(of(`--admin-address=${host}:15014`)).toEqual([])
    }
  })

  it('refuse two listeners on one address', () => {
    expect(problems('all', [...config, '--http-address=127.0.0.1:9091'])).toEqual([
      '--http-address: --grpc-address listens on 0.0.0.0:9091 already; give another port',
    ])
    expect(problems('all', [...config, '--http-address=:0', '--grpc-address=:0'])).toEqual([])
  })

  it('ignore what Kubernetes adds for a service called intermix', () => {
    const env = {
      INTERMIX_SERVICE_HOST: '10.0.0.1',
      INTERMIX_SERVICE_PORT_GRPC: '9091',
      INTERMIX_PORT: 'tcp://10.0.0.1:9091',
      INTERMIX_PORT_9091_TCP_ADDR: '10.0.0.1',
      INTERMIX_NODE_SERVICE_HOST: '10.0.0.2',
    }
    expect(problems('all', config, env)).toEqual([])
  })

  it('make different node ids of letters, digits and dashes', () => {
    const [first, second] = [settings('all', config).nodeId, settings('all', config).nodeId]
    expect(first).toMatch(/^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/)
    expect(first).not.toBe(second)
  })
})

describe('the settings of a sidecar', () => {
  const nodes = ['--nodes', 'a:1,b:2']

  it('need nodes alone, and listen on this machine', () => {
    expect(settings('sidecar', nodes)).toMatchObject({
      nodes: ['a:1', 'b:2'],
      affinity: ['destination.service', 'destination.service.host', 'request.host', 'source.principal'],
      tenant: 'destination.namespace',
      grpcAddress: { host: '127.0.0.1', port: 9091 },
      httpAddress: { host: '127.0.0.1', port: 9092 },
      l1Entries: 10_000,
      l1Bytes: 16 * 1024 * 1024,
    })
    expect(problems('sidecar', [])).toEqual([expect.stringMatching(/^--nodes \(or INTERMIX_NODES\) is missing: /)])
    expect(problems('sidecar', ['--nodes=,'])).toEqual([expect.stringContaining('--nodes: names no node')])
    expect(problems('sidecar', [...nodes, '--redis=redis://r'])).toEqual([
      '--redis: not a setting of sidecar, only of node, worker and all',
    ])
  })

  it.each([
    '--config=x',
    '--redis=redis://r',
    '--adapters=a',
    '--cache-max-entries=1',
    '--spool-dir=x',
    '--processes=2',
  ])('refuse what only others have use for: %s', (flag) => {
    const [name = ''] = flag.split('=')
    expect(problems('sidecar', [...nodes, flag])).toEqual([
      expect.stringMatching(new RegExp(`^${name}: not a setting of sidecar, only of `)),
    ])
  })

  it.each(ROLES)(
    'let an environment that is shared with other roles change nothing of %s that it does not have',
    (role) => {
      const own = role === 'sidecar' ? nodes : [...config, '--redis=redis://r']
      const env = {
        INTERMIX_CONFIG: 'c',
        INTERMIX_REDIS: 'redis://secret',
        INTERMIX_PROCESSES: '3',
        INTERMIX_TRANSPORT: 'grpc-js',
        INTERMIX_NODES: 'n:1',
        INTERMIX_FAN_OUT: 'on',
      }
      const read: Readonly<Record<string, unknown>> = { ...settings(role, own, env) }
      const shared = { config: 'c', processes: 3, transport: 'grpc-js', nodes: ['n:1'], fanOut: true }
      for (const [key, value] of Object.entries(shared)) {
        const spec: SettingSpec = SETTINGS[key as keyof typeof SETTINGS]
        const isOwn = spec.roles.includes(role) && !own.includes(flagOf(key))
        if (isOwn) expect([key, read[key]]).toEqual([key, value])
        else expect([key, read[key]]).not.toEqual([key, value])
      }
      if (role === 'sidecar') expect(JSON.stringify(read)).not.toContain('secret')
    },
  )

  it.each([
    [
      ['--nodes-tls-cert=a', '--nodes-tls-key=b'],
      ['--nodes-tls-cert: needs', '--nodes-tls-key: needs'],
    ],
    [['--nodes-tls-ca=a', '--nodes-tls-cert=b'], ['--nodes-tls-key: missing']],
    [['--nodes-tls-ca=a', '--nodes-tls-key=b'], ['--nodes-tls-cert: missing']],
    [['--nodes-tls-name=a'], ['--nodes-tls-name: needs --nodes-tls-ca']],
    [['--report-ack=replicated'], ['--report-ack replicated: a sidecar promises memory or queued']],
  ])('tell what does not go together: %j', (argv, found) => {
    expect(problems('sidecar', [...nodes, ...argv])).toEqual(found.map((text) => expect.stringContaining(text)))
  })
})

describe('the Redis settings', () => {
  const url = 'redis://r:6379'

  it('use one Redis for both purposes or two apart', () => {
    expect(settings('node', [...config, '--redis', url])).toMatchObject({
      cacheRedis: { url },
      queueRedis: { url },
      redisGiven: true,
    })
    expect(settings('node', [...config, '--cache-redis=redis://a', '--queue-redis=redis://b'])).toMatchObject({
      cacheRedis: { url: 'redis://a' },
      queueRedis: { url: 'redis://b' },
    })
    expect(settings('node', [...config, '--redis', url, '--cache-redis=none'])).toMatchObject({
      cacheRedis: undefined,
      queueRedis: { url },
    })
  })

  it('give the queue its own time where it is far away, and that of the cache unless told', () => {
    const far = [...config, '--redis', url, '--redis-timeout=20ms']
    expect(settings('node', far)).toMatchObject({ redisTimeoutMs: 20, queueRedisTimeoutMs: 20 })
    expect(settings('worker', [...far, '--queue-redis-timeout=1s'])).toMatchObject({
      redisTimeoutMs: 20,
      queueRedisTimeoutMs: 1_000,
    })
  })

  it('can name a Redis for revocations alone, which is one', () => {
    expect(settings('node', [...config, '--redis', url, '--revocation-redis=redis://far'])).toMatchObject({
      queueRedis: { url },
      revocationRedis: { url: 'redis://far' },
    })
    expect(settings('node', [...config, '--redis', url]).revocationRedis).toBeUndefined()
    expect(problems('node', [...config, '--redis', url, '--revocation-redis=none'])).toEqual([
      '--revocation-redis: give the URL of a Redis, or leave it out: revocations are with the queue then',
    ])
    expect(problems('worker', [...config, '--redis', url, '--revocation-redis', url])).toEqual([
      '--revocation-redis: not a setting of worker, only of node and all',
    ])
  })

  it('sign in with passwords and keys from files', () => {
    const files = ['--redis-password-file=/p', '--redis-tls-ca=/ca', '--redis-tls-cert=/c', '--redis-tls-key=/k']
    const tls = { ca: '/ca', cert: '/c', key: '/k' }
    expect(
      settings('node', [...config, '--cache-redis=rediss://a', '--queue-redis=redis://me@b', ...files]),
    ).toMatchObject({
      cacheRedis: { url: 'rediss://a', passwordFile: '/p', tls },
      queueRedis: { url: 'redis://me@b', passwordFile: '/p' },
    })
    const own = ['--redis=redis+sentinel://:pw@s/m', '--queue-redis=redis://q', '--queue-redis-password-file=/q']
    const sentinel = ['--redis-sentinel-user=who', '--redis-sentinel-password-file=/s']
    const both = settings('node', [...config, ...own, ...sentinel])
    expect(both.cacheRedis).toEqual({ url: 'redis+sentinel://:pw@s/m', sentinel: { user: 'who', passwordFile: '/s' } })
    expect(both.queueRedis).toEqual({ url: 'redis://q', passwordFile: '/q' })
  })

  it.each([
    [['--redis=redis://:pw@a', '--redis-password-file=/p'], '--redis-password-file: no Redis takes it'],
    [
      ['--redis=redis://:pw@a', '--queue-redis-password-file=/p'],
      '--queue-redis-password-file: the URL of that Redis has',
    ],
    [['--redis=redis://a', '--cache-redis=none', '--cache-redis-password-file=/p'], 'there is no such Redis'],
    [['--redis=redis://a', '--redis-sentinel-password-file=/p'], 'no Redis URL begins with redis+sentinel://'],
    [['--redis=redis+sentinel://a/m', '--redis-sentinel-user=u'], 'needs --redis-sentinel-password-file'],
    [['--redis=redis://a', '--redis-tls-ca=/p'], 'no Redis URL begins with rediss'],
    [['--redis=rediss://a', '--redis-tls-cert=/p'], 'needs --redis-tls-key'],
    [['--redis=rediss://a', '--redis-tls-key=/p'], 'needs --redis-tls-cert'],
  ])('let no file go unused: %j', (argv, problem) => {
    expect(problems('node', [...config, ...argv]).join('\n')).toContain(problem)
  })

  it.each(['--redis', '--reds=', '--redis:', '--mesh', '', '--log-level'])(
    'never print a password beside %j',
    (before) => {
      const url = 'redis://u:s3cr@et/s3cret@h:x'
      const argv = before === '' ? [url] : before.endsWith('=') || before.endsWith(':') ? [before + url] : [before, url]
      const found = problems('node', [...config, ...argv]).join('\n')
      expect(found).not.toBe('')
      expect(found).not.toContain('s3cr')
    },
  )

  it('go without where none is said', () => {
    expect(settings('all', [...config, '--redis=none'])).toMatchObject({ cacheRedis: undefined, redisGiven: true })
  })

  it('must say where the other Redis is, and what a node or worker is to do', () => {
    expect(problems('all', [...config, '--cache-redis', url])[0]).toContain(
      '--queue-redis: missing beside --cache-redis',
    )
    expect(problems('node', config)).toHaveLength(1)
    expect(problems('worker', [...config, '--redis=none'])[0]).toContain('a worker drains queues')
  })

  it('never repeat a password', () => {
    const found = problems('node', [...config, '--redis=http://me:s3cret@host'])
    expect(found).toHaveLength(1)
    expect(found[0]).not.toContain('s3cret')
    expect(found[0]).toContain('redis://')
  })

  it('take no URL of a webhook that holds a password, which could not be fetched', () => {
    for (const url of ['https://me:s3cret@host/', 'https://s3cret@host/', 'https://:s3cret@host/']) {
      const found = problems('node', [...config, `--rollout-webhook=${url}`]).join('\n')
      expect(found).toMatch(/--rollout-webhook: .*a URL without user and password/)
      expect(found).not.toContain('s3cret')
    }
  })
})

describe('the URL of a webhook', () => {
  const none = [...config, '--redis=none']

  it('may have a query, which is often its secret', () => {
    const url = 'https://hooks.example.com/T1/B2/?key=s3cret&x=/'
    expect(settings('node', [...none, `--rollout-webhook=${url}`]).rolloutWebhook).toBe(url)
    expect(settings('node', [...none, '--rollout-webhook=https://host/a/']).rolloutWebhook).toBe('https://host/a')
  })

  it('is repeated by no message', () => {
    for (const url of ['ftp://host/?key=s3cret', 'https://host/s3cret#s3cret', 'host?key=s3cret']) {
      const found = problems('node', [...none, `--rollout-webhook=${url}`])
      expect(found).toEqual([expect.stringContaining('--rollout-webhook: the value does not fit')])
      expect(found.join('')).not.toContain('s3cret')
    }
  })
})

describe('the settings table', () => {
  it('gives each setting its own flag and variable', () => {
    const keys = Object.keys(SETTINGS)
    expect(new Set(keys.map(flagOf)).size).toBe(keys.length)
    expect(new Set(keys.map(variableOf)).size).toBe(keys.length)
  })

  it('never makes reading throw, whatever the arguments are', () => {
    const word = fc.oneof(fc.constantFrom(...Object.keys(SETTINGS).map(flagOf)), fc.string())
    fc.assert(
      fc.property(fc.constantFrom(...ROLES), fc.array(word, { maxLength: 8 }), (role, argv) => {
        const result = readSettings(role, argv, {})
        return 'settings' in result || result.problems.length > 0
      }),
    )
  })
})

describe('the memory of the cache', () => {
  const config = ['--config=c', '--redis=none']
  it('is divided unless sizes are given, which fix it', () => {
    expect(settings('node', config)).toMatchObject({ cacheIsFixed: false, cacheMoneyTime: 600_000 })
    expect(settings('node', [...config, '--cache-memory=64MiB'])).toMatchObject({
      cacheIsFixed: false,
      cacheMemory: 64 * 1024 * 1024,
    })
    expect(settings('node', [...config, '--cache-max-entries=9'])).toMatchObject({ cacheIsFixed: true })
  })

  it('is not divided and fixed at once', () => {
    expect(problems('node', [...config, '--cache-memory=64MiB', '--cache-max-bytes=64MiB'])).toEqual([
      '--cache-memory: goes without --cache-max-bytes, which fixes what it would divide',
    ])
  })
})

describe('the key of a mesh', () => {
  const node = ['--config', 'examples', '--redis', 'redis://127.0.0.1']

  it('is required of what is in Redis, unless told', () => {
    expect(settings('node', [...node, '--mesh-key', 'a.key'])).toMatchObject({
      meshKey: 'a.key',
      meshKeyMode: 'require',
      meshEncrypt: false,
    })
    const chosen = settings('node', [...node, '--mesh-key=a.key', '--mesh-key-mode=accept', '--mesh-encrypt', 'on'])
    expect(chosen).toMatchObject({ meshKeyMode: 'accept', meshEncrypt: true })
  })

  it('is what its other settings need, and it needs a Redis: all is said at once', () => {
    expect(problems('node', [...node, '--mesh-key-mode=accept', '--mesh-encrypt=on'])).toEqual([
      '--mesh-key-mode: needs --mesh-key, the file of the key that nodes share',
      '--mesh-encrypt: needs --mesh-key, the file of the key that nodes share',
    ])
    expect(problems('node', ['--config', 'examples', '--redis', 'none', '--mesh-key', 'a.key'])).toEqual([
      '--mesh-key: signs what nodes leave in Redis, and there is none; give --redis URL',
    ])
    expect(problems('worker', [...node, '--mesh-key', 'a.key'])).toEqual([
      '--mesh-key: not a setting of worker, only of node and all',
    ])
  })
})
