// Loaded before the command (`--import`): plants the break that the environment names into the file as it is read.

import { registerHooks } from 'node:module'
import { BREAK_VARIABLE, BREAKS, broken } from './breaks.ts'

const name = process.env[BREAK_VARIABLE]
const planted = Object.entries(BREAKS).find(([each]) => each === name)?.[1]
if (planted === undefined) throw new Error(`${BREAK_VARIABLE}: one of ${Object.keys(BREAKS).join(', ')} is needed`)

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    if (!url.endsWith(`/${planted.file}`)) return loaded
    return { ...loaded, source: broken(planted, Buffer.from(loaded.source as Uint8Array).toString('utf8')) }
  },
})
