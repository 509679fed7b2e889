// What a handler is given that is tried without consequences: a clock and nothing else. It notices when the handler wants
// more, for then what it would have said is not known.

import type { AdapterEnvironment } from '../../adapter-kit/define-adapter.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { Clock, Logger, Meter, Random } from '../../kernel/ports.ts'

const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
}

const UNCOUNTED: Meter = {
  counter: () => () => ({ add: () => undefined }),
  gauge: () => () => ({ set: () => undefined }),
  histogram: () => () => ({ observe: () => undefined }),
}

/** An environment without an outside world. @param wanted called when the handler asks for any of it */
export function barrenEnvironment(
  handlerName: string,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  wanted: () => void,
): AdapterEnvironment {
  const refuse = (): never => {
    wanted()
    throw new IntermixError('BACKEND_FAILED', `${handlerName}: a dry run leaves the process alone`)
  }
  return {
    handlerName,
    clock,
    random,
    log: SILENT,
    meter: UNCOUNTED,
    fetch: refuse,
    schedule: wanted,
    expose: wanted,
    get counters() {
      return refuse()
    },
    redis: refuse,
  }
}
