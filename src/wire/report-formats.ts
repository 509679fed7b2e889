// The list of formats in which reports travel: how each is read, and what gives way first. A new one is added here.

import type { PackedFormat, RecordFormat, ReportFormat, ReportFormats } from '../kernel/report.ts'
import { decodeAccessLog } from './envoy-access-log.ts'
import { decodeMixerReport } from './mixer/decode-report.ts'
import { MIXER_REPORT_FORMAT } from './mixer/report-writer.ts'
import { decodeRecords, RECORDS_FORMAT } from './record-json.ts'
import { unpackReportCall } from './reports/report-call.ts'

/** A JSON array of records, each an object of attribute name → typed value (see `record-json.ts`). */
export const ATTRIBUTES: RecordFormat = { name: RECORDS_FORMAT, sparable: false, decode: decodeRecords }

/** `envoy.service.accesslog.v3.StreamAccessLogsMessage`, its identifier filled in. Logs: the others carry metrics as well. */
export const ENVOY_ALS: RecordFormat = { name: 'envoy-als', sparable: true, decode: decodeAccessLog }

/** `istio.mixer.v1.ReportRequest`. */
export const MIXER_REPORT: RecordFormat = { name: MIXER_REPORT_FORMAT, sparable: false, decode: decodeMixerReport }

/** `intermix.v1.ReportCall`: what a sidecar or a library has gathered. */
export const REPORT_CALL: PackedFormat = { name: 'report-call', sparable: false, unpack: unpackReportCall }

/** The same, of parts that give way first. */
export const SPARABLE_REPORT_CALL: PackedFormat = { ...REPORT_CALL, name: 'report-call-logs', sparable: true }

/** All formats that this version takes and reads, by name. */
export const REPORT_FORMATS: ReportFormats = new Map(
  [ATTRIBUTES, ENVOY_ALS, MIXER_REPORT, REPORT_CALL, SPARABLE_REPORT_CALL].map((format: ReportFormat) => [
    format.name,
    format,
  ]),
)
