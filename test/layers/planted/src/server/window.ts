// Planted: the other half of a cycle.
import { door } from './door.ts'

export const probe = (): string => door()
