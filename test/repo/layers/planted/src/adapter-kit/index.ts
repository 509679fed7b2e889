// What adapters of others define metrics with.
export { counter as counterMetric } from '../kernel/metrics/define.ts'
