// Planted: the composition root knows a command.
import { command } from '../cli/command.ts'

export const part = command
