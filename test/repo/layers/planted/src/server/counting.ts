// Planted: a front door defines a metric of its own, by the catalogue's means, by the kit's, and by the library's.
import { Counter } from 'prom-client'
import { counterMetric } from '../adapter-kit/index.ts'
import { counter } from '../kernel/metrics/define.ts'

export const counting = [counter, counterMetric, Counter]
