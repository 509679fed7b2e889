// Reads intermix.v1.Heard and intermix.v1.News.

import type { Vocabulary } from '../../kernel/attribute-bag.ts'
import type { Revocation, RevocationTarget } from '../../kernel/revocation.ts'
import { VALUE_TYPES, type ValueType } from '../../kernel/value.ts'
import { PATH_AMBIGUITY_NAMES } from '../ambiguity.ts'
import { VARINT, type WireReader } from '../wire-reader.ts'
import { type CacheSample, readCacheSample } from './cache-sample.ts'
import { type Heard, type MeshMembers, type News, type NodeConfig, TARGET_KINDS } from './news.ts'
import { readTexts, type TextOf } from './told-shapes.ts'

/** Each caller keeps the vocabulary of each node. */
const MAX_ATTRIBUTES = 65_536

/** @throws IntermixError INVALID_REQUEST where it is malformed, as do all here */
export function readHeard(reader: WireReader, heardTag: number, textOf: TextOf): Heard {
  let ask = 0
  let generation: string | undefined
  let sequence = 0
  let count = 0
  let names: readonly string[] = []
  let sample: CacheSample | undefined
  const outer = reader.openField(heardTag)
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const field = tag >>> 3
    if (field === 6) {
      sample = readCacheSample(reader, tag)
      continue
    }
    if (field > 6) {
      reader.skip(tag)
      continue
    }
    if (field === 5) {
      names = readTexts(reader, tag, textOf)
      continue
    }
    reader.expect(tag, VARINT)
    if (field === 1) ask = reader.varint32() >>> 0
    else if (field === 2) generation = textOf(reader.sint32())
    else if (field === 3) sequence = countOf(reader)
    else count = reader.varint32() >>> 0
  }
  reader.close(outer)
  const epoch = generation === undefined ? undefined : { generation, sequence }
  const heard: Heard = { ask, epoch, ...(sample === undefined ? {} : { sample }) }
  return count === 0 ? heard : { ...heard, behind: { count, names } }
}

export function readNews(reader: WireReader, newsTag: number, textOf: TextOf): News {
  let generation: string | undefined
  let sequence = 0
  const revocations: Revocation[] = []
  const news = { ask: 0, outOfTouchMs: 0, maxAgeMs: 0, load: 0 }
  let config: NodeConfig | undefined
  let members: MeshMembers | undefined
  let isRelayed = false
  let recommendedEntries: number | undefined
  const outer = reader.openField(newsTag)
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag >>> 3) {
      case 1:
        reader.expect(tag, VARINT)
        news.ask = reader.varint32() >>> 0
        break
      case 2:
        reader.expect(tag, VARINT)
        generation = textOf(reader.sint32())
        break
      case 3:
        reader.expect(tag, VARINT)
        sequence = countOf(reader)
        break
      case 4: {
        const revocation = readRevocation(reader, tag, textOf)
        // Of a kind that is not known here: in the gap that it leaves everything is revoked.
        if (revocation !== undefined) revocations.push(revocation)
        break
      }
      case 5:
        reader.expect(tag, VARINT)
        news.outOfTouchMs = countOf(reader)
        break
      case 6:
        reader.expect(tag, VARINT)
        news.maxAgeMs = countOf(reader)
        break
      case 7:
        reader.expect(tag, VARINT)
        news.load = reader.varint32() >>> 0
        break
      case 8:
        config = readConfig(reader, tag, textOf)
        break
      case 9:
        members = readMembers(reader, tag, textOf)
        break
      case 10:
        reader.expect(tag, VARINT)
        isRelayed = reader.varint32() !== 0
        break
      case 11:
        reader.expect(tag, VARINT)
        recommendedEntries = reader.varint32() >>> 0
        break
      default:
        reader.skip(tag)
    }
  }
  reader.close(outer)
  const epoch = generation === undefined ? undefined : { generation, sequence }
  const read = { ...news, epoch, revocations, config, members, ...(isRelayed && { isRelayed }) }
  return recommendedEntries === undefined ? read : { ...read, recommendedEntries }
}

function readRevocation(reader: WireReader, revocationTag: number, textOf: TextOf): Revocation | undefined {
  let sequence = 0
  let kind = 0
  const texts: (string | undefined)[] = []
  const outer = reader.openField(revocationTag)
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const field = tag >>> 3
    if (field > 5) {
      reader.skip(tag)
      continue
    }
    reader.expect(tag, VARINT)
    if (field === 1) sequence = countOf(reader)
    else if (field === 2) kind = reader.varint32()
    else texts[field - 3] = textOf(reader.sint32())
  }
  reader.close(outer)
  const target = targetOf(kind, texts)
  return target === undefined ? undefined : { sequence, target }
}

function targetOf(kind: number, [name, key, value]: readonly (string | undefined)[]): RevocationTarget | undefined {
  switch (TARGET_KINDS[kind]) {
    case 'all':
      return { kind: 'all' }
    case 'handler':
      return name === undefined ? undefined : { kind: 'handler', handler: name }
    case 'attribute':
      return name === undefined || value === undefined ? undefined : { kind: 'attribute', name, key, value }
    default:
      return undefined
  }
}

function readConfig(reader: WireReader, configTag: number, textOf: TextOf): NodeConfig {
  let id = ''
  let normalizes = false
  let allowed: ReadonlySet<string> = new Set()
  let vocabulary: Vocabulary = new Map()
  let isUnknown = false
  const outer = reader.openField(configTag)
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 === 1) {
      reader.expect(tag, VARINT)
      id = textOf(reader.sint32())
    } else if (tag >>> 3 === 2) {
      reader.expect(tag, VARINT)
      normalizes = reader.varint32() !== 0
    } else if (tag >>> 3 === 3) allowed = new Set(readTexts(reader, tag, textOf))
    else if (tag >>> 3 === 4) vocabulary = readVocabulary(reader, tag, textOf)
    else {
      reader.skip(tag)
      isUnknown = true
    }
  }
  reader.close(outer)
  return {
    id,
    normalizes,
    vocabulary,
    allowedAmbiguities: new Set(PATH_AMBIGUITY_NAMES.filter((one) => allowed.has(one))),
    ...(isUnknown && { isUnknown }),
  }
}

function readVocabulary(reader: WireReader, tag: number, textOf: TextOf): Vocabulary {
  const vocabulary = new Map<string, ValueType>()
  const outer = reader.openField(tag)
  while (reader.pos < reader.end) {
    const name = textOf(reader.sint32())
    // Of a type that is not known here: as an attribute that is not declared.
    const type = VALUE_TYPES[reader.sint32() - 1]
    if (vocabulary.size >= MAX_ATTRIBUTES) throw reader.malformed(`a vocabulary of more than ${MAX_ATTRIBUTES} names`)
    if (type !== undefined) vocabulary.set(name, type)
  }
  reader.close(outer)
  return vocabulary
}

function readMembers(reader: WireReader, membersTag: number, textOf: TextOf): MeshMembers {
  let nodes: readonly string[] = []
  let leaving: readonly string[] = []
  const outer = reader.openField(membersTag)
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 === 1) nodes = readTexts(reader, tag, textOf)
    else if (tag >>> 3 === 2) leaving = readTexts(reader, tag, textOf)
    else reader.skip(tag)
  }
  reader.close(outer)
  return { nodes, leaving }
}

/** A number of which a double has every digit. */
function countOf(reader: WireReader): number {
  const count = Number(reader.int64())
  if (count < 0 || count > Number.MAX_SAFE_INTEGER) throw reader.malformed(`the number ${count} is too large`)
  return count
}
