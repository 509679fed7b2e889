// Two ends of a channel as between a parent and its child: what is sent is copied, and arrives later.
import type { Channel } from '../../src/process/process-link.ts'

export function channelPair(): [Channel, Channel] {
  const listeners: [((message: unknown) => void)[], ((message: unknown) => void)[]] = [[], []]
  const end = (own: 0 | 1): Channel => ({
    send(message) {
      const copy: unknown = structuredClone(message)
      queueMicrotask(() => {
        for (const listener of listeners[own === 0 ? 1 : 0]) listener(copy)
      })
    },
    onMessage: (listener) => void listeners[own].push(listener),
  })
  return [end(0), end(1)]
}
