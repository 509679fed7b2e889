// The scripts of the state and of what processes say; what of their replies is believed.

import { defineScript } from '../redis/scripts.ts'
import { listOf, numberOf, textOf } from './replies.ts'

export const READ = defineScript({
  name: 'rollout-read',
  keys: 4,
  reply(raw) {
    const [now, rev, since, body, token, why, lease] = listOf(raw)
    return {
      now: numberOf(now),
      rev: numberOf(rev),
      since: numberOf(since),
      body: textOf(body),
      token: textOf(token),
      why: typeof why === 'string' ? why : undefined,
      lease: typeof lease === 'string' ? lease : undefined,
    }
  },
})

type Written =
  | { readonly kind: 'done'; readonly rev: number; readonly now: number }
  | { readonly kind: 'stale' | 'lease' | 'early' }

export const WRITE = defineScript<Written>({
  name: 'rollout-write',
  keys: 6,
  reply(raw) {
    const [kind, rev, now] = listOf(raw)
    if (kind === 'stale' || kind === 'lease' || kind === 'early') return { kind }
    return { kind: 'done', rev: numberOf(rev), now: numberOf(now) }
  },
})

export const LEASE = defineScript({
  name: 'rollout-lease',
  keys: 2,
  reply(raw) {
    const [epoch, owner] = listOf(raw)
    return { epoch: numberOf(epoch), owner: textOf(owner) }
  },
})

export const ANNOUNCE = defineScript({
  name: 'rollout-announce',
  keys: 2,
  reply(raw) {
    const [owner, entries] = listOf(raw)
    const all = listOf(entries).map((each) => {
      const [id, fields] = listOf(each)
      return { id: textOf(id), fields: listOf(fields).map(textOf) }
    })
    return { owner: textOf(owner), entries: all }
  },
})

export const OBSERVE = defineScript({ name: 'rollout-observe', keys: 2, reply: numberOf })

export const OBSERVATIONS = defineScript({
  name: 'rollout-observations',
  keys: 3,
  reply(raw) {
    const [said, votes] = listOf(raw)
    return { said: listOf(said), votes: listOf(votes).map(textOf) }
  },
})

export const VOTE = defineScript({ name: 'rollout-vote', keys: 1, reply: numberOf })
