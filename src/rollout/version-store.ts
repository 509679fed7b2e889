// The versions in Redis: what was published once is there as it was, until so many others have come that nobody needs it.

import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject } from '../kernel/json-object.ts'
import { parseJson } from '../kernel/parse-json.ts'
import type { RedisLink } from '../redis/connection.ts'
import { defineScript } from '../redis/scripts.ts'
import { rolloutKeys } from './keys.ts'
import { listOf, numberOf, textOf } from './replies.ts'
import { packFiles, unpackFiles } from './version-blob.ts'
import {
  bytesOf,
  type ConfigFile,
  type ConfigVersion,
  isVersionId,
  type VersionFacts,
  type VersionMeta,
  versionId,
} from './version.ts'

/** Versions kept. What is stable, under way, or may be gone back to is kept beside them. */
const MAX_VERSIONS = 100
/** A large version takes a while to cross a slow network. */
const TIMEOUT_MS = 10_000
/** As few digits of an id as people may give. */
const LEAST_DIGITS = 4

const KEEP = defineScript({
  name: 'rollout-keep',
  keys: 4,
  reply(raw) {
    const [isNew, facts] = listOf(raw)
    return { isNew: numberOf(isNew) === 1, facts: textOf(facts) }
  },
})

export interface VersionStoreOptions {
  readonly link: RedisLink
  /** Of the mesh, as `meshPrefix` gives it. */
  readonly prefix: string
}

/** All methods reject with REDIS_UNAVAILABLE while Redis is away. */
export class VersionStore {
  readonly #link: RedisLink
  readonly #keys: ReturnType<typeof rolloutKeys>

  constructor({ link, prefix }: VersionStoreOptions) {
    this.#link = link
    this.#keys = rolloutKeys(prefix)
  }

  /**
   * Keeps a version; what was said of one that is there already stays.
   * @throws IntermixError TOO_LARGE where the files are no version.
   */
  async keep(files: readonly ConfigFile[], facts: VersionFacts): Promise<{ meta: VersionMeta; isNew: boolean }> {
    const id = versionId(files)
    const blob = await packFiles(files)
    const told = JSON.stringify({ ...facts, files: files.length, bytes: bytesOf(files) })
    const { versions, blobs, facts: known, state } = this.#keys
    const kept = await this.#link.run(
      (client) => KEEP.run(client, [versions, blobs, known, state], [id, blob, told, MAX_VERSIONS]),
      TIMEOUT_MS,
    )
    return { meta: readMeta(id, kept.facts), isNew: kept.isNew }
  }

  /**
   * A version with its files; `undefined` where there is none of that id.
   * @throws IntermixError INVALID_CONFIG where what is stored is damaged.
   */
  async read(id: string): Promise<ConfigVersion | undefined> {
    const { blobs, facts } = this.#keys
    const [blob, told] = await this.#link.run(
      async (client) => await Promise.all([client.hgetBuffer(blobs, id), client.hget(facts, id)]),
      TIMEOUT_MS,
    )
    if (blob === null || told === null) return undefined
    return { meta: readMeta(id, told), files: await unpackFiles(blob, id) }
  }

  /** What is known of all versions, the latest first. */
  async list(): Promise<readonly VersionMeta[]> {
    const all = await this.#link.run((client) => client.hgetall(this.#keys.facts), TIMEOUT_MS)
    return Object.entries(all)
      .map(([id, told]) => readMeta(id, told))
      .toSorted((a, b) => b.at - a.at)
  }

  /**
   * The id that people mean by its first digits, four at least.
   * @throws IntermixError NOT_FOUND where none or several begin so.
   */
  async resolve(digits: string): Promise<string> {
    const wanted = digits.toLowerCase()
    if (!/^[0-9a-f]+$/.test(wanted) || wanted.length < LEAST_DIGITS || wanted.length > 64)
      throw new IntermixError(
        'NOT_FOUND',
        `${digits}: no version; give ${LEAST_DIGITS} or more of the digits that history shows`,
      )
    const ids = await this.#link.run((client) => client.zrange(this.#keys.versions, 0, '-1'), TIMEOUT_MS)
    const found = ids.filter((id) => isVersionId(id) && id.startsWith(wanted))
    const [one] = found
    if (one !== undefined && found.length === 1) return one
    throw new IntermixError(
      'NOT_FOUND',
      `${digits}: ${found.length === 0 ? 'no version begins' : `${found.length} versions begin`} so`,
    )
  }
}

function readMeta(id: string, told: string): VersionMeta {
  const [, at = '0', text = '{}'] = /^(\d{1,15}) (.*)$/s.exec(told) ?? []
  const json = parseJson(text)
  const { author, message, parent, files, bytes } = isJsonObject(json) ? json : {}
  return {
    id,
    at: Number(at),
    author: typeof author === 'string' ? author : '',
    message: typeof message === 'string' ? message : '',
    ...(typeof parent === 'string' ? { parent } : {}),
    files: typeof files === 'number' ? files : 0,
    bytes: typeof bytes === 'number' ? bytes : 0,
  }
}
