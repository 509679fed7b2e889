export { systemClock, systemRandom } from '../kernel/system-clock.ts'
