// POST /v1/report: reports from programs. 202 says that they are safe (--report-ack); delivery is the workers' business.

import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { jsonAnswer } from '../kernel/http-answer.ts'
import { isJsonObject } from '../kernel/json-object.ts'
import { HTTP_REPORT_RECORDS_TOTAL } from '../kernel/metrics/doors.ts'
import { fieldProblem, type Problem } from '../kernel/problem.ts'
import type { RequestLimits } from '../kernel/request-limits.ts'
import { DEFAULT_REPORT_ACKS } from '../kernel/services.ts'
import { suggest } from '../kernel/suggest.ts'
import { parseAttributes } from '../wire/parse-attributes.ts'
import { encodeRecords } from '../wire/record-json.ts'
import { ATTRIBUTES } from '../wire/report-formats.ts'
import { RequestProblems } from './json-error.ts'
import type { HttpRoute, RouteDependencies } from './http-route.ts'
import { parseJsonBody } from './json-body.ts'

const MAX_RECORDS = 10_000
const MAX_PROBLEMS = 50

/** Takes `{"records": [{"source.ip": …}, …]}` as a whole or, with 400 and all problems, not at all. */
export function reportRoute(dependencies: RouteDependencies): HttpRoute {
  const { check, report, nextBatchId, clock, meter, limits, reportAcks = DEFAULT_REPORT_ACKS } = dependencies
  const records = meter.counter(HTTP_REPORT_RECORDS_TOTAL)()
  return {
    path: '/v1/report',
    method: 'POST',
    async answer({ body }) {
      const json = body.length === 0 ? undefined : parseJsonBody(body, { uniqueNames: false })
      const bags = readRecords(json, check.vocabulary(), limits)
      if (bags.length > 0) {
        const batch = {
          id: nextBatchId(),
          format: ATTRIBUTES.name,
          count: bags.length,
          payload: encodeRecords(bags),
          acceptedAt: clock.now(),
        }
        const refusal = await report.accept(batch, reportAcks.http)
        if (refusal !== undefined) throw refusal
        records.add(bags.length)
      }
      return jsonAnswer(202, { accepted: bags.length })
    },
  }
}

function readRecords(body: unknown, vocabulary: Vocabulary, { maxMapEntries }: RequestLimits): AttributeBag[] {
  const records = isJsonObject(body) ? body['records'] : undefined
  if (!Array.isArray(records))
    throw refused('records', 'must be a list of records: {"records": [{"source.ip": "10.0.0.1"}]}.')
  if (records.length > MAX_RECORDS)
    throw refused('records', `has ${records.length} records; at most ${MAX_RECORDS} are taken at once.`)
  const bags: AttributeBag[] = []
  const problems: Problem[] = []
  for (const [index, record] of (records as unknown[]).entries()) {
    const path = `records[${index}]`
    const parsed = parseAttributes(attributesOf(record), vocabulary, { path, suggest, maxMapEntries })
    if ('bag' in parsed) bags.push(parsed.bag)
    else problems.push(...parsed.problems)
    if (problems.length >= MAX_PROBLEMS) break
  }
  if (problems.length > 0) throw new RequestProblems('the report is not valid', problems.slice(0, MAX_PROBLEMS))
  return bags
}

/** A record may be written as the check's body is, with its attributes under that name. */
function attributesOf(record: unknown): unknown {
  if (!isJsonObject(record)) return record
  const wrapped = record['attributes']
  return isJsonObject(wrapped) && Object.keys(record).length === 1 ? wrapped : record
}

function refused(path: string, message: string): RequestProblems {
  return new RequestProblems('the report is not valid', [fieldProblem(path, message)])
}
