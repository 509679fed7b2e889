// What a program imports as `intermix/client`.

export { IntermixError } from '../../kernel/errors.ts'
export type { Denial } from '../../kernel/denial.ts'
export type { AttributeBag, Vocabulary } from '../../kernel/attribute-bag.ts'
export type { HeaderOperation } from '../../kernel/header-operation.ts'
export { Code, type Status } from '../../kernel/status.ts'
export { Duration, Timestamp } from '../../kernel/time.ts'
export { CheckResult, type Grant } from './check-result.ts'
export { Client, type ClientCheckOptions, type ClientQuotaOptions, type Described } from './client.ts'
export { type ClientOptions, createClient } from './create-client.ts'
export type { Attributes, GivenValue } from './given-attributes.ts'
export { currentTrace, type TraceContext, traceOf, withTrace } from './trace-context.ts'
