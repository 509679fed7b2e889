// What an adapter author imports: the contract, pieces that most adapters need, and the tests that every adapter passes.

/** Zod, for config schemas: the very one that this program uses, so that an adapter needs no copy of its own. */
export { z } from 'zod'
export { IntermixError } from '../kernel/errors.ts'
/** For what an adapter counts of itself through its `meter`. */
export {
  counter as counterMetric,
  gauge as gaugeMetric,
  histogram as histogramMetric,
} from '../kernel/metrics/define.ts'
export type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
export { Code, OK_STATUS, type Status } from '../kernel/status.ts'
export { Duration, Timestamp } from '../kernel/time.ts'
export type { AttributeValue, StringMap } from '../kernel/value.ts'
export type { DirectResponse } from '../kernel/verdict.ts'
export type { Aggregate, Aggregation, Aggregator } from './aggregation.ts'
export { adapterConformance } from './conformance.ts'
export type { ConformanceCase, ConformanceOptions, ReportBackends } from './conformance-case.ts'
export {
  type AdapterDefinition,
  type AdapterEnvironment,
  type CallContext,
  type CheckResult,
  type ConfigIssue,
  defineAdapter,
  type FailedInstance,
  type Handler,
  type QuotaRequest,
  type QuotaResult,
  type ReportContext,
  type ReportResult,
} from './define-adapter.ts'
export type { CounterChange, CounterEntry, CounterGroup, DurableCounters, HeldRegisters } from './durable-counters.ts'
export type { Exposed, ExposedPart } from './exposed-part.ts'
export type { ExportWishes, RetryLimits } from './exporter/limits.ts'
export { fetchText, type TextRequest, type TextResponse } from './fetch-text.ts'
export type { FieldValue, Instance, ValueMap } from './instance.ts'
export { RefreshingSource, type RefreshingSourceOptions } from './refreshing-source.ts'
export { retryAfterMs } from './retry-after.ts'
export { goDuration, type GoDurationOptions, httpUrl, statusCode } from './schema.ts'
export type { LuaScript, RedisServer, ScriptRunner } from './script-runner.ts'
export { defineTemplate, type InstanceOf, type TemplateDefinition } from './template.ts'
export type {
  ApiKeyInstance,
  AuthorizationInstance,
  ListEntryInstance,
  LogEntryInstance,
  MetricInstance,
  QuotaInstance,
  TemplateName,
} from './templates.ts'
export { createCall, createTestEnvironment, ManualClock, type TestEnvironment } from './test-environment.ts'
export { fieldToJson, type Json, valueToText } from './value-text.ts'
