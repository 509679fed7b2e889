// Planted: the kernel reaches up, and out to a package that is not its own.
import { connection } from '../redis/connection.ts'
import { Redis } from 'ioredis'

export const upward = [connection, Redis]
