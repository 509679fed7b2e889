// Planted: settings reach into policy.
import { reach } from '../policy/reach.ts'

export const table = reach
