// Planted: what talks to the host reaches up, and out to a program for Node.
import { kept } from '../cache/kept'
import { upward } from '../../../src/kernel/upward'

@external('env', 'proxy_log')
declare function log(): void

export const planted = [kept, upward, log]
