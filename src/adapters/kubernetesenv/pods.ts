// Pods as the Kubernetes API tells of them, reduced to what attributes need and indexed for look-ups.

import { z } from 'zod'
import { formatIp, parseIp } from '../../kernel/ip-address.ts'

const pod = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    /** Set once the pod is being removed. */
    deletionTimestamp: z.string().optional(),
    labels: z.record(z.string(), z.string()).default({}),
    ownerReferences: z
      .array(
        z.object({ apiVersion: z.string(), kind: z.string(), name: z.string(), controller: z.boolean().optional() }),
      )
      .default([]),
  }),
  spec: z
    .object({
      serviceAccountName: z.string().optional(),
      hostNetwork: z.boolean().optional(),
      containers: z
        .array(z.object({ name: z.string(), ports: z.array(z.object({ containerPort: z.int() })).default([]) }))
        .default([]),
    })
    .default({ containers: [] }),
  status: z
    .object({
      phase: z.string().optional(),
      podIP: z.string().optional(),
      podIPs: z.array(z.object({ ip: z.string().optional() })).optional(),
      hostIP: z.string().optional(),
    })
    .default({}),
})

type PodItem = z.output<typeof pod>

/** The shape of one page of `GET /api/v1/pods`; fields that attributes do not need are dropped. */
export const podPage = z.object({
  metadata: z.object({ continue: z.string().optional() }).default({}),
  items: z.array(pod),
})

/** What is known of a pod. Addresses are bytes; `undefined` where the API gives none. */
export interface Pod {
  readonly uid: string
  readonly name: string
  readonly namespace: string
  readonly labels: ReadonlyMap<string, string>
  readonly serviceAccountName: string | undefined
  readonly ip: Uint8Array | undefined
  readonly hostIp: Uint8Array | undefined
  readonly workload: Workload
  /** Container names by the ports that they declare. */
  readonly containers: ReadonlyMap<number, string>
}

/** What keeps a pod running: its controller, or the pod itself. */
interface Workload {
  readonly uid: string
  readonly name: string
  readonly namespace: string
  /** `kubernetes://apis/<group>/<version>/namespaces/<namespace>/<kind>s/<name>`. */
  readonly owner: string
}

/** Who claims an address. */
interface Claim {
  /** `undefined` where several pods have the same claim: the address tells none of them. */
  readonly pod: Pod | undefined
  readonly isLeaving: boolean
}

/** Pods by uid (`kubernetes://name.namespace`) and by the text of their addresses. */
export class PodIndex {
  readonly #byUid = new Map<string, Pod>()
  readonly #byIp = new Map<string, Claim>()

  constructor(items: readonly PodItem[]) {
    for (const item of items) this.#add(item)
  }

  byUid(uid: string): Pod | undefined {
    return this.#byUid.get(uid)
  }

  byIp(ip: Uint8Array): Pod | undefined {
    return this.#byIp.get(formatIp(ip))?.pod
  }

  #add(item: PodItem): void {
    const found = podOf(item)
    this.#byUid.set(found.uid, found)
    const isLeaving = item.metadata.deletionTimestamp !== undefined
    for (const address of addressesOf(item)) this.#claim(address, { pod: found, isLeaving })
  }

  /** A pod that is being removed may have given its address back already: one that stays has the better claim. */
  #claim(address: string, claim: Claim): void {
    const held = this.#byIp.get(address)
    if (held === undefined || (held.isLeaving && !claim.isLeaving)) this.#byIp.set(address, claim)
    else if (held.isLeaving === claim.isLeaving) this.#byIp.set(address, { ...claim, pod: undefined })
  }
}

/**
 * The addresses that tell a pod, each once. Pods of the host's network share the host's addresses, and ended pods have
 * given theirs back: neither can be told by one.
 */
function addressesOf({ spec, status }: PodItem): ReadonlySet<string> {
  const hasEnded = status.phase === 'Succeeded' || status.phase === 'Failed'
  if (spec.hostNetwork === true || hasEnded) return new Set()
  const texts = [status.podIP, ...(status.podIPs ?? []).map(({ ip }) => ip)]
  const addresses = texts.map((text) => (text === undefined ? undefined : parseIp(text)))
  return new Set(addresses.filter((address) => address !== undefined).map(formatIp))
}

function podOf({ metadata, spec, status }: PodItem): Pod {
  const { name, namespace, labels } = metadata
  const ports = spec.containers.flatMap((container) =>
    container.ports.map(({ containerPort }) => [containerPort, container.name] as const),
  )
  return {
    uid: `kubernetes://${name}.${namespace}`,
    name,
    namespace,
    labels: new Map(Object.entries(labels)),
    serviceAccountName: spec.serviceAccountName,
    ip: status.podIP === undefined ? undefined : parseIp(status.podIP),
    hostIp: status.hostIP === undefined ? undefined : parseIp(status.hostIP),
    workload: workloadOf(metadata),
    containers: new Map(ports),
  }
}

function workloadOf({ name, namespace, labels, ownerReferences }: PodItem['metadata']): Workload {
  const owner = ownerReferences.find(({ controller }) => controller === true) ?? ownerReferences[0]
  const { apiVersion = 'v1' } = owner ?? {}
  let { kind = 'Pod', name: workload = name } = owner ?? {}
  // A deployment's replica set is named after it and the hash of its template; so no further request is needed.
  const hash = labels['pod-template-hash']
  if (kind === 'ReplicaSet' && hash !== undefined && workload.endsWith(`-${hash}`)) {
    kind = 'Deployment'
    workload = workload.slice(0, -hash.length - 1)
  }
  return {
    uid: `istio://${namespace}/workloads/${workload}`,
    name: workload,
    namespace,
    owner: `kubernetes://apis/${apiVersion}/namespaces/${namespace}/${kind.toLowerCase()}s/${workload}`,
  }
}
