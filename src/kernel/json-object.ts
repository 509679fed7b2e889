// Tells the objects of JSON from all else that a text may hold.

/** An object as it came out of `JSON.parse`: what its fields hold is not known. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Whether a value from `JSON.parse` is an object: neither a list nor `null`. */
export function isJsonObject(json: unknown): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}
