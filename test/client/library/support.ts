// A client over a check service that is not a node's.

import { Client, type ClientParts } from '../../../src/client/library/client.ts'
import type { AttributeBag, Vocabulary } from '../../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { RecordingCheck } from '../../server/fixtures.ts'

/** A check service that a client can be made over; it may have no config for a while. */
class ClientCheck extends RecordingCheck {
  isReady = true
  charged: Parameters<ClientParts['check']['charge']>[] = []

  override vocabulary(): Vocabulary {
    if (!this.isReady) throw new IntermixError('NOT_READY', 'no node has told its config yet')
    return super.vocabulary()
  }

  async charge(...asked: Parameters<ClientParts['check']['charge']>) {
    this.charged.push(asked)
    const status = { code: 0, message: '' }
    return new Map(
      [...asked[1]].map(([name, { amount }]) => [name, { granted: amount, status, validForMs: 5, referenced: [] }]),
    )
  }
}

export function testClient(parts: Partial<ClientParts> = {}) {
  const check = new ClientCheck()
  const records: AttributeBag[] = []
  const warnings: string[] = []
  const state = { closedWithin: 0, dropped: 0 }
  const client = new Client({
    check,
    records: {
      add: (record) => void records.push(record),
      giveUp: (count) => void (state.dropped += count),
    },
    clock: systemClock,
    timeoutMs: 1_000,
    figures: () => ({}),
    onWarning: (message) => void warnings.push(message),
    async close(timeoutMs) {
      state.closedWithin = timeoutMs
    },
    ...parts,
  })
  return { client, check, records, warnings, state }
}
