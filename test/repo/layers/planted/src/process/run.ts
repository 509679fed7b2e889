// Planted: what runs a process reaches past the composition root into a front door.
import { door } from '../server/door.ts'

export const run = door
