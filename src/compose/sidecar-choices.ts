// What the settings of a sidecar say of nodes and of how one is chosen, in the words of its parts.

import { type AffinityChoice, attributePath } from '../client/affinity.ts'
import { type NodeSource, readNodeSource } from '../client/nodes/node-sources.ts'
import { tlsFromFiles } from '../client/nodes/tls-files.ts'
import type { WatchedMembersOptions } from '../client/nodes/watched-members.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/ports.ts'
import type { Settings } from '../settings/settings.ts'

interface SidecarChoices extends AffinityChoice, Pick<WatchedMembersOptions, 'tls'> {
  readonly sources: readonly NodeSource[]
}

/** @throws IntermixError INVALID_SETTING that names all problems at once */
export function sidecarChoices(settings: Settings, log: Logger): SidecarChoices {
  const { nodesTlsCa: ca, nodesTlsCert: cert, nodesTlsKey: key, nodesTlsName: servername } = settings
  const problems: string[] = []
  const read = <T>(prefix: string, make: () => T): T[] => {
    try {
      return [make()]
    } catch (caught) {
      problems.push(`${prefix}${IntermixError.from(caught).message}`)
      return []
    }
  }
  const sources = settings.nodes.flatMap((item) => read('--nodes: ', () => readNodeSource(item)))
  const affinity = settings.affinity.flatMap((item) => read('--affinity: ', () => attributePath(item)))
  const [tenant] = settings.tenant === '' ? [] : read('--tenant: ', () => attributePath(settings.tenant))
  const [tls] = ca === undefined ? [] : read('', () => tlsFromFiles({ ca, cert, key, servername }, log))
  if (problems.length > 0) throw new IntermixError('INVALID_SETTING', problems.join('\n'))
  return { sources, affinity, tenant, tls }
}
