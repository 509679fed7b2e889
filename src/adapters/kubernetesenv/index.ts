// Tells which pods and workloads a request goes from and to, by the pods that the Kubernetes API lists.

import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import {
  defineAdapter,
  type AdapterEnvironment,
  type ConfigIssue,
  type Handler,
} from '../../adapter-kit/define-adapter.ts'
import { fetchText } from '../../adapter-kit/fetch-text.ts'
import type { Instance } from '../../adapter-kit/instance.ts'
import { RefreshingSource } from '../../adapter-kit/refreshing-source.ts'
import { goDuration, httpUrl } from '../../adapter-kit/schema.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { AttributeValue } from '../../kernel/value.ts'
import { parseJson } from '../../kernel/parse-json.ts'
import { type Pod, PodIndex, podPage } from './pods.ts'

const DAY_MS = 24 * 3_600_000
const PAGE_SIZE = 500
const PAGE_BYTES = 64 * 1_024 * 1_024

const config = z.strictObject({
  apiServerUrl: httpUrl().default('https://kubernetes.default.svc'),
  /** File with the bearer token, read anew for each listing; empty: none is sent. */
  tokenPath: z.string().default('/var/run/secrets/kubernetes.io/serviceaccount/token'),
  /** How often all pods are listed. */
  cacheRefreshDuration: goDuration({ minMs: 1_000 }).default(30_000),
  /** Only pods of this namespace; empty: of all. */
  namespace: z
    .string()
    .regex(/^[a-z0-9-]*$/, 'not the name of a namespace')
    .default(''),
  timeout: goDuration({ minMs: 1 }).default(30_000),
  maxPods: z.int().min(1).default(200_000),
  /** Mixer's; refused by `validate` where set. */
  kubeconfigPath: z.string().default(''),
  clusterRegistriesNamespace: z.string().default(''),
})

type KubernetesConfig = z.output<typeof config>

export default defineAdapter({
  name: 'kubernetesenv',
  description: 'Adds names, labels and workloads of the pods at both ends',
  templates: ['kubernetes'],
  config,
  doesIo: false,
  staleIfErrorMs: DAY_MS,
  validate,
  create(params, env): Handler {
    const source = new RefreshingSource<PodIndex>({
      what: 'the list of pods',
      refreshMs: params.cacheRefreshDuration,
      ttlMs: DAY_MS,
      load: (signal) => listPods(params, env, signal),
      clock: env.clock,
      random: env.random,
      log: env.log,
    })
    return {
      start: () => source.start(),
      stop: () => source.stop(),
      attributes: { kubernetes: (instance) => generate(source.current(), instance) },
    }
  },
})

function generate(pods: PodIndex, { fields }: Instance): Readonly<Record<string, AttributeValue>> {
  const source = find(pods, fields['sourceUid'], fields['sourceIp'])
  const destination = find(pods, fields['destinationUid'], fields['destinationIp'])
  const port = fields['destinationPort']
  const container = typeof port === 'bigint' ? destination?.containers.get(Number(port)) : undefined
  return {
    ...(source === undefined ? {} : output('source', source)),
    ...(destination === undefined ? {} : output('destination', destination)),
    ...(container === undefined ? {} : { destinationContainerName: container }),
  }
}

/** Who has a uid is not looked for by address: a vanished pod's address may be another one's by now. As Mixer did. */
function find(pods: PodIndex, uid: unknown, ip: unknown): Pod | undefined {
  if (typeof uid === 'string' && uid !== '') return pods.byUid(uid)
  return ip instanceof Uint8Array ? pods.byIp(ip) : undefined
}

function output(side: 'source' | 'destination', pod: Pod): Record<string, AttributeValue> {
  const { workload, ip, hostIp, serviceAccountName } = pod
  const values: Record<string, AttributeValue> = {
    [`${side}PodUid`]: pod.uid,
    [`${side}PodName`]: pod.name,
    [`${side}Labels`]: pod.labels,
    [`${side}Namespace`]: pod.namespace,
    [`${side}WorkloadUid`]: workload.uid,
    [`${side}WorkloadName`]: workload.name,
    [`${side}WorkloadNamespace`]: workload.namespace,
    [`${side}Owner`]: workload.owner,
  }
  if (ip !== undefined) values[`${side}PodIp`] = ip
  if (hostIp !== undefined) values[`${side}HostIp`] = hostIp
  if (serviceAccountName !== undefined) values[`${side}ServiceAccountName`] = serviceAccountName
  return values
}

async function listPods(params: KubernetesConfig, env: AdapterEnvironment, signal: AbortSignal): Promise<PodIndex> {
  const { fetch, clock } = env
  const headers = { accept: 'application/json', ...(await authorization(params.tokenPath)) }
  const scope = params.namespace === '' ? 'pods' : `namespaces/${params.namespace}/pods`
  const items: z.output<typeof podPage>['items'] = []
  let next: string | undefined
  do {
    const url = new URL(`${params.apiServerUrl.replace(/\/+$/, '')}/api/v1/${scope}?limit=${PAGE_SIZE}`)
    if (next !== undefined) url.searchParams.set('continue', next)
    const limits = { timeoutMs: params.timeout, maxBytes: PAGE_BYTES }
    const response = await fetchText({ fetch, clock, url: url.href, headers, signal, ...limits })
    if (response.status !== 200) {
      throw new IntermixError('BACKEND_FAILED', `the Kubernetes API answered HTTP status ${response.status}`)
    }
    const page = readPage(response.text)
    for (const item of page.items) items.push(item)
    if (items.length > params.maxPods)
      throw new IntermixError('BACKEND_FAILED', `there are over ${params.maxPods} pods`)
    next = page.metadata.continue
  } while (next !== undefined && next !== '')
  return new PodIndex(items)
}

async function authorization(tokenPath: string): Promise<Readonly<Record<string, string>>> {
  if (tokenPath === '') return {}
  try {
    // Kubernetes replaces the token while we run.
    return { authorization: `Bearer ${(await readFile(tokenPath, 'utf8')).trim()}` }
  } catch (error) {
    throw new IntermixError('BACKEND_FAILED', `the token file ${tokenPath} cannot be read`, { cause: error })
  }
}

function readPage(text: string): z.output<typeof podPage> {
  try {
    return podPage.parse(parseJson(text))
  } catch (error) {
    throw new IntermixError('BACKEND_FAILED', 'the Kubernetes API sent no list of pods', { cause: error })
  }
}

function validate(params: KubernetesConfig): readonly ConfigIssue[] {
  const issues: ConfigIssue[] = []
  if (params.kubeconfigPath !== '') {
    issues.push({ path: ['kubeconfigPath'], message: 'kubeconfig files are not read: set apiServerUrl and tokenPath' })
  }
  if (params.clusterRegistriesNamespace !== '') {
    const message = 'further clusters are not looked up by secrets: configure one handler per cluster'
    issues.push({ path: ['clusterRegistriesNamespace'], message })
  }
  return issues
}
