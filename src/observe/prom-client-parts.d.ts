// Types of the files of prom-client that are imported by themselves: it has types for its index alone.

declare module 'prom-client/lib/registry.js' {
  import { Registry } from 'prom-client'
  export default Registry
}
declare module 'prom-client/lib/counter.js' {
  import { Counter } from 'prom-client'
  export default Counter
}
/** Adds metrics to a registry. */
declare module 'prom-client/lib/metrics/*.js' {
  import type { Registry } from 'prom-client'
  const add: (registry: Registry, options: { readonly eventLoopMonitoringPrecision: number }) => void
  export default add
}
