// A small mesh: nodes, workers, one Redis, a policy backend and an upstream, all real processes or sockets.
import { Redis } from 'ioredis'
import { type HttpBackend, startHttpBackend } from '../helpers/http-backend.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { type Intermix, startIntermix, sumOfSeries } from './intermix.ts'
import { entitled, writePolicy } from './policy.ts'

export interface Mesh {
  readonly redis: RedisServer
  readonly nodes: readonly Intermix[]
  readonly workers: readonly Intermix[]
  /** Decides by user; counts how often it is asked. */
  readonly policyBackend: HttpBackend
  readonly upstream: HttpBackend
  /** Starts one more worker. */
  addWorker(): Promise<Intermix>
  /** What the workers that run now have counted of reports, in the metric of the policy. */
  countedRequests(): Promise<number>
  /** Keys of the report queues' lists of jobs that wait or are under way: empty lists have none. */
  unfinishedJobs(): Promise<string[]>
  stop(): Promise<void>
}

export interface MeshOptions {
  readonly nodes: number
  readonly workers: number
  readonly nodeFlags?: readonly string[]
}

/** Starts everything and waits until it is ready; ends what had started when something does not start. */
export async function startMesh(options: MeshOptions): Promise<Mesh> {
  const ends: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  }
  try {
    const redis = await startRedis()
    ends.push(() => redis.stop())
    const policyBackend = await startPolicyBackend()
    ends.push(() => policyBackend.close())
    const upstream = await startHttpBackend()
    ends.push(() => upstream.close())
    const policy = await writePolicy(policyBackend.url)
    ends.push(() => policy.remove())

    const workers: Intermix[] = []
    const start = async (role: 'node' | 'worker', nodeId: string, flags: readonly string[]) => {
      const redisFlags = ['--redis', redis.url]
      const started = await startIntermix({ role, config: policy.directory, nodeId, flags: [...redisFlags, ...flags] })
      ends.push(() => started.child.stop())
      return started
    }
    const addWorker = async () => {
      const worker = await start('worker', `worker-${workers.length + 1}`, [])
      workers.push(worker)
      return worker
    }
    for (let i = 0; i < options.workers; i += 1) await addWorker()
    const nodes: Intermix[] = []
    for (let i = 1; i <= options.nodes; i += 1) nodes.push(await start('node', `node-${i}`, options.nodeFlags ?? []))
    return {
      redis,
      nodes,
      workers,
      policyBackend,
      upstream,
      addWorker,
      countedRequests: () => counted(workers),
      unfinishedJobs: () => unfinishedJobs(redis.url),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Allows by the user that the check instance names. */
function startPolicyBackend(): Promise<HttpBackend> {
  return startHttpBackend(({ body }) => {
    const { fields } = JSON.parse(body) as { fields: { value: string } }
    return { status: entitled(fields.value) ? 200 : 403 }
  })
}

async function unfinishedJobs(url: string): Promise<string[]> {
  const client = new Redis(url)
  try {
    const lists = ['wait', 'prioritized', 'active', 'delayed', 'paused'].map((list) => client.keys(`*:${list}`))
    return (await Promise.all(lists)).flat()
  } finally {
    client.disconnect()
  }
}

async function counted(workers: readonly Intermix[]): Promise<number> {
  const running = workers.filter(({ child }) => child.running())
  const pages = await Promise.all(
    running.map(async ({ prometheusUrl }) => await (await fetch(`${prometheusUrl}/metrics`)).text()),
  )
  return pages.reduce((sum, page) => sum + sumOfSeries(page, 'istio_requests_total'), 0)
}
