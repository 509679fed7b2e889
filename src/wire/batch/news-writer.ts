// Writes intermix.v1.Heard and intermix.v1.News, which both have their words in the batch around them.

import { VALUE_TYPES } from '../../kernel/value.ts'
import type { Revocation } from '../../kernel/revocation.ts'
import type { WireWriter } from '../wire-writer.ts'
import { writeCacheSample } from './cache-sample.ts'
import { HEARD, type Heard, type MeshMembers, NEWS, type News, type NodeConfig, TARGET_KINDS } from './news.ts'
import type { SentWords } from './sent-words.ts'

export function writeHeard(writer: WireWriter, words: SentWords, { ask, epoch, behind, sample }: Heard): void {
  const open = writer.open(HEARD)
  writer.uint(1, ask)
  if (epoch !== undefined) {
    writer.sint32(2, words.word(epoch.generation), true)
    writer.uint(3, epoch.sequence)
  }
  if (behind !== undefined) {
    writer.uint(4, behind.count)
    writeWords(writer, words, 5, behind.names)
  }
  if (sample !== undefined) writeCacheSample(writer, 6, sample)
  writer.close(open)
}

export function writeNews(writer: WireWriter, words: SentWords, news: News): void {
  const { ask, epoch, revocations, outOfTouchMs, maxAgeMs, load, config, members, isRelayed } = news
  const open = writer.open(NEWS)
  writer.uint(1, ask)
  if (epoch !== undefined) {
    writer.sint32(2, words.word(epoch.generation), true)
    writer.uint(3, epoch.sequence)
  }
  for (const revocation of revocations) writeRevocation(writer, words, revocation)
  // Never less than it is: a caller must not take itself to be nearer than it is.
  writer.uint(5, Math.min(Math.ceil(outOfTouchMs), Number.MAX_SAFE_INTEGER))
  writer.uint(6, Math.floor(maxAgeMs))
  writer.uint(7, load)
  if (config !== undefined) writeConfig(writer, words, config)
  if (members !== undefined) writeMembers(writer, words, members)
  if (isRelayed === true) writer.bool(10, true)
  writer.uint(11, news.recommendedEntries ?? 0)
  writer.close(open)
}

function writeRevocation(writer: WireWriter, words: SentWords, { sequence, target }: Revocation): void {
  const open = writer.open(4)
  writer.uint(1, sequence)
  writer.uint(2, TARGET_KINDS.indexOf(target.kind))
  if (target.kind === 'handler') writer.sint32(3, words.word(target.handler), true)
  if (target.kind === 'attribute') {
    writer.sint32(3, words.word(target.name), true)
    if (target.key !== undefined) writer.sint32(4, words.word(target.key), true)
    writer.sint32(5, words.word(target.value), true)
  }
  writer.close(open)
}

function writeConfig(writer: WireWriter, words: SentWords, config: NodeConfig): void {
  const { id, normalizes, allowedAmbiguities, vocabulary, isUnknown } = config
  const open = writer.open(8)
  writer.sint32(1, words.word(id), true)
  writer.bool(2, normalizes)
  writeWords(writer, words, 3, allowedAmbiguities)
  const packed = writer.open(4)
  for (const [name, type] of vocabulary) {
    // Most of them are never named in an answer.
    writer.packedSint32(words.once(name))
    writer.packedSint32(VALUE_TYPES.indexOf(type) + 1)
  }
  writer.close(packed)
  // A field that no reader knows.
  if (isUnknown === true) writer.bool(15, true)
  writer.close(open)
}

function writeMembers(writer: WireWriter, words: SentWords, { nodes, leaving }: MeshMembers): void {
  const open = writer.open(9)
  writeWords(writer, words, 1, nodes)
  writeWords(writer, words, 2, leaving)
  writer.close(open)
}

function writeWords(writer: WireWriter, words: SentWords, field: number, texts: Iterable<string>): void {
  const packed = writer.open(field)
  for (const text of texts) writer.packedSint32(words.word(text))
  writer.close(packed)
}
