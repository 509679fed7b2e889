// What the body of a success says of a batch of reports: nothing, or which instances the backend did not take.

import { z } from 'zod'
import type { ReportResult } from '../../adapter-kit/define-adapter.ts'
import type { TextResponse } from '../../adapter-kit/fetch-text.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { parseJson } from '../../kernel/parse-json.ts'
import { isJson } from './answer.ts'

const entry = z.object({
  index: z.int().min(0),
  reason: z.string().default('the backend did not take it'),
  retry: z.boolean().default(false),
})

/**
 * A body that is JSON with a list `failed` says what was not taken; any other one says that all was.
 *
 * @throws IntermixError BACKEND_REFUSED where the list cannot be read: what was taken is then unknown, and to send the batch
 *   again could double it
 */
export function readFailed({ headers, text, isCut }: TextResponse, size: number): ReportResult | undefined {
  if (!isJson(headers)) return undefined
  if (isCut)
    throw new IntermixError('BACKEND_REFUSED', 'the backend took a batch, and its JSON is longer than maxBytes')
  if (text === '') return undefined
  let body: unknown
  try {
    body = parseJson(text)
  } catch {
    return undefined
  }
  const listed = typeof body === 'object' && body !== null && 'failed' in body ? body.failed : undefined
  if (!Array.isArray(listed)) return undefined
  const parsed = z.array(entry.refine(({ index }) => index < size, `must be below ${size}`)).safeParse(listed)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const where = ['failed', ...(issue?.path ?? [])].join('.')
    throw new IntermixError(
      'BACKEND_REFUSED',
      `the backend took a batch in part, and does not say which: ${where}: ${issue?.message}`,
    )
  }
  return { failed: [...new Map(parsed.data.map((each) => [each.index, each])).values()] }
}
