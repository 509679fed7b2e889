// Planted: the other half of a cycle; and a front door that reads settings and knows a command.
import { command } from '../cli/command.ts'
import { table } from '../settings/table.ts'
import { door } from './door.ts'

export const probe = (): unknown => [door(), command, table]
