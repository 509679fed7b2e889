// The list of formats in which reports travel: how each is read, and what gives way first. A new one is added here.

import type { ReportFormat, ReportFormats } from '../kernel/report.ts'
import { decodeAccessLog } from './envoy-access-log.ts'
import { decodeMixerReport } from './mixer/decode-report.ts'
import { decodeRecords } from './record-json.ts'

/** A JSON array of records, each an object of attribute name → typed value (see `record-json.ts`). */
export const ATTRIBUTES: ReportFormat = { name: 'attributes', sparable: false, decode: decodeRecords }

/** `envoy.service.accesslog.v3.StreamAccessLogsMessage`, its identifier filled in. Logs: the others carry metrics as well. */
export const ENVOY_ALS: ReportFormat = { name: 'envoy-als', sparable: true, decode: decodeAccessLog }

/** `istio.mixer.v1.ReportRequest`. */
export const MIXER_REPORT: ReportFormat = { name: 'mixer-report', sparable: false, decode: decodeMixerReport }

/** All formats that this version takes and reads, by name. */
export const REPORT_FORMATS: ReportFormats = new Map(
  [ATTRIBUTES, ENVOY_ALS, MIXER_REPORT].map((format) => [format.name, format]),
)
