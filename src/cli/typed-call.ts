// Calls a node with the attributes of `-a`. The command line knows no types and the node knows them all: values go out
// as text, which fits most types, and where the node wants a boolean or a map they go out once more as JSON.

import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import { parseJson } from '../kernel/parse-json.ts'
import type { CommandIo } from './io.ts'
import { callNode, type NodeAnswer, type NodeRequest } from './node-client.ts'

/** Calls with a body made of the attributes; what was learnt of their types holds for further calls. */
export type TypedCall = (
  request: Omit<NodeRequest, 'body'>,
  makeBody: (attributes: JsonObject) => unknown,
) => Promise<NodeAnswer>

/** @param pairs attributes by name, as text. */
export function createTypedCall(io: CommandIo, pairs: ReadonlyMap<string, string>): TypedCall {
  let attributes: JsonObject = Object.fromEntries(pairs)
  return async (request, makeBody) => {
    const answer = await callNode(io, { ...request, body: makeBody(attributes) })
    const retyped = answer.httpStatus === 400 ? retype(attributes, answer.body) : undefined
    if (retyped === undefined) return answer
    attributes = retyped
    return await callNode(io, { ...request, body: makeBody(attributes) })
  }
}

/** Turns text that the node refused for its type into JSON. @returns `undefined` where nothing can be turned. */
function retype(attributes: JsonObject, body: JsonObject): JsonObject | undefined {
  const error = body['error']
  const problems = isJsonObject(error) && Array.isArray(error['problems']) ? error['problems'].filter(isJsonObject) : []
  const turned: Record<string, unknown> = {}
  for (const { code, path } of problems) {
    if (code !== 'wrong-type' || typeof path !== 'string') continue
    const name = path.replace(/^(?:attributes|records\[\d+\])\./, '')
    const text = attributes[name]
    const value = typeof text === 'string' ? parse(text) : undefined
    if (typeof value === 'boolean' || isJsonObject(value)) turned[name] = value
  }
  return Object.keys(turned).length === 0 ? undefined : { ...attributes, ...turned }
}

function parse(text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}
