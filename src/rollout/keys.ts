// The keys of config rollout in Redis. All have one tag, so that a script may use them together on a cluster.

export interface RolloutKeys {
  readonly state: string
  readonly lease: string
  readonly quarantine: string
  readonly why: string
  readonly votes: string
  readonly log: string
  readonly versions: string
  readonly blobs: string
  readonly facts: string
  readonly observations: string
  readonly seen: string
  readonly announced: string
}

/** @param prefix that of the mesh, as `meshPrefix` gives it */
export function rolloutKeys(prefix: string): RolloutKeys {
  const tag = `{${prefix}-rollout}`
  return {
    state: `${tag}:state`,
    lease: `${tag}:lease`,
    quarantine: `${tag}:quarantine`,
    why: `${tag}:why`,
    votes: `${tag}:votes`,
    log: `${tag}:log`,
    versions: `${tag}:versions`,
    blobs: `${tag}:blobs`,
    facts: `${tag}:facts`,
    observations: `${tag}:observations`,
    seen: `${tag}:seen`,
    announced: `${tag}:announced`,
  }
}
