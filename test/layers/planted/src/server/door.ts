// Planted: half of a cycle.
import { probe } from './window.ts'

export const door = (): unknown => probe()
