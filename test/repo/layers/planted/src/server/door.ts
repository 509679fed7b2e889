// Planted: half of a cycle, and a door that knows grpc-js.
import { Server } from '@grpc/grpc-js'
import { probe } from './window.ts'

export const door = (): unknown => [probe(), Server]
