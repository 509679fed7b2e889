// Planted: an adapter that uses another adapter, and the cache's Redis.
import { connection } from '../../redis/connection.ts'
import { two } from '../two/index.ts'

export const one = [two, connection]
