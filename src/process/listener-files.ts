// TLS of what a process listens at, before it does.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Meter } from '../kernel/ports.ts'
import { allTlsFiles, tlsFilesOf } from '../settings/listener-tls-settings.ts'
import type { Settings } from '../settings/settings.ts'
import { readTlsFiles } from '../tls/tls-files.ts'
import { TlsListener } from '../tls/tls-listener.ts'

/**
 * Reads the files of all listeners, so that what is wrong with any of them is told at once, and not one listener after the other.
 * @throws IntermixError INVALID_SETTING that names all problems
 */
export async function refuseBadListenerFiles(settings: Settings): Promise<void> {
  const read = await Promise.all(allTlsFiles(settings).map(([listener, files]) => readTlsFiles(listener, files)))
  const problems = read.flatMap((each) => ('problems' in each ? each.problems : []))
  if (problems.length > 0) throw new IntermixError('INVALID_SETTING', problems.join('\n'))
}

/** TLS of the admin port, which itself looks at the certificates of who asks; `undefined` where it has none. */
export function adminTls(
  settings: Settings,
  ports: { readonly clock: Clock; readonly log: Logger; readonly meter: Meter },
): TlsListener | undefined {
  const files = tlsFilesOf(settings, 'admin')
  return files && new TlsListener({ ...ports, listener: 'admin', files, admitUnproven: true })
}
