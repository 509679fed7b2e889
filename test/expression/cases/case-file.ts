// The format of expression case files, read strictly: an unknown or ill-typed field is a mistake in the file.

import { z } from 'zod'
import { type ValueType, VALUE_TYPES } from '../../../src/kernel/value.ts'

const type = z.enum(VALUE_TYPES)
const functionType = z.enum([...VALUE_TYPES, 'VALUE_TYPE_UNSPECIFIED'])

const extraFunction = z.strictObject({
  name: z.string(),
  instance: z.boolean(),
  targetType: functionType.nullable(),
  argumentTypes: z.array(functionType),
  returnType: functionType,
})

const expressionCase = z.strictObject({
  id: z.union([z.number(), z.string()]),
  suite: z.string().optional(),
  name: z.string().optional(),
  source: z.string().optional(),
  note: z.string().optional(),
  bench: z.boolean().optional(),
  dialect: z.enum(['CEXL', 'CEL', 'CEXL+CEL']),
  expr: z.string(),
  manifest: z.string().optional(),
  attributes: z.record(z.string(), type).optional(),
  input: z.record(z.string(), z.unknown()).optional(),
  inputTypes: z.record(z.string(), z.enum([...VALUE_TYPES, 'GO_INT'])).optional(),
  inputBytesHex: z.record(z.string(), z.string()).optional(),
  expect: z.enum(['value', 'runtimeError', 'compileError', 'type', 'parse', 'compiles', 'eqMatches', 'constant']),
  kind: type.optional(),
  result: z.unknown().optional(),
  resultBytesHex: z.string().optional(),
  referenced: z.array(z.string()).optional(),
  runtimeError: z.string().optional(),
  runtimeErrorMatch: z.enum(['exact', 'prefix', 'contains', 'any']).optional(),
  compileError: z.string().optional(),
  compileErrorMatch: z.enum(['exact', 'prefix', 'contains', 'any']).optional(),
  astError: z.string().optional(),
  ast: z.string().optional(),
  eqMatches: z.record(z.string(), z.unknown()).optional(),
  literal: z.boolean().optional(),
  extraFunctions: z.array(extraFunction).optional(),
  celResult: z.unknown().optional(),
  celError: z.string().optional(),
  celReferenced: z.array(z.string()).optional(),
})

export type ExpressionCase = z.infer<typeof expressionCase>
export type CaseFunction = z.infer<typeof extraFunction>
export type Manifests = Readonly<Record<string, Readonly<Record<string, ValueType>>>>

const manifests = z.record(z.string(), z.record(z.string(), type))

/** Reads a case file. @throws Error that lists every mistake with its place. */
export function parseCases(text: string, file: string): readonly ExpressionCase[] {
  return read(z.array(expressionCase), text, file)
}

/** Reads a file of manifests: manifest name → attribute name → type. @throws Error that lists every mistake. */
export function parseManifests(text: string, file: string): Manifests {
  return read(manifests, text, file)
}

function read<T>(schema: z.ZodType<T>, text: string, file: string): T {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new Error(`${file} is not JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  const result = schema.safeParse(json)
  if (result.success) return result.data
  const mistakes = result.error.issues.map((issue) => `${file}: ${issue.path.join('.')}: ${issue.message}`)
  throw new Error(mistakes.join('\n'))
}
