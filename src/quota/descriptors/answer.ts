// One answer from what became of each descriptor.

import type { DescriptorStatus, RateLimitAnswer } from '../../kernel/rate-limit.ts'
import type { Asked } from './asked.ts'

/** Over the limit is a request with a limit that is, and one whose limits in quota mode, of which it has some, all are. */
export function answerOf(
  statuses: readonly DescriptorStatus[],
  asked: readonly Pick<Asked, 'isQuota'>[],
): RateLimitAnswer {
  let isRefused = false
  let quotas = 0
  let quotasOver = 0
  let nearest: DescriptorStatus | undefined
  for (let at = 0; at < statuses.length; at++) {
    const status = statuses[at] as DescriptorStatus
    const isQuota = asked[at]?.isQuota === true
    if (isQuota) quotas++
    if (isQuota && status.isOver) quotasOver++
    const decides = status.isOver && !isQuota
    if (decides) isRefused = true
    if (status.limit !== undefined && (decides || nearest === undefined || status.remaining < nearest.remaining))
      nearest = status
  }
  return { isOver: isRefused || (quotas > 0 && quotas === quotasOver), statuses, nearest }
}
