// Reports on their way from a front door to the workers: undecoded, in the form in which they came.

/**
 * How the payload of a batch is encoded:
 * `attributes`: JSON array of records, each an object of attribute name → typed value (see `wire/record-json.ts`);
 * `envoy-als`: `envoy.service.accesslog.v3.StreamAccessLogsMessage`, its identifier filled in;
 * `mixer-report`: `istio.mixer.v1.ReportRequest`.
 */
export type ReportFormat = 'attributes' | 'envoy-als' | 'mixer-report'

/** One batch of reports. */
export interface ReportBatch {
  /** Unique over all nodes and restarts, letters, digits and `-` only. Retries and replays keep it. */
  readonly id: string
  readonly format: ReportFormat
  /** How many records the payload holds. */
  readonly count: number
  readonly payload: Uint8Array
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number
}
