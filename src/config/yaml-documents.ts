// The documents of a YAML (or JSON) text, one after the other: the reader pauses within and between them.

import { Composer, type Document, Lexer, Parser } from 'yaml'
import type { SourceFile } from './config-node.ts'

const LEXEMES_BETWEEN_PAUSES = 256

/**
 * The documents of a file, as `parseAllDocuments` of the library reads them; `undefined` where it may pause. What cannot
 * be divided is the last step of a document, from its syntax tree to its nodes.
 * @throws RangeError for text that is nested many thousand levels deep: the library recurses there
 */
export function* yamlDocuments(file: SourceFile): Generator<Document.Parsed | undefined, void, undefined> {
  const parser = new Parser(file.lines.addNewLine)
  const composer = new Composer({ lineCounter: file.lines, prettyErrors: false, strict: true })
  file.lines.addNewLine(0)
  let lexemes = 0
  for (const lexeme of new Lexer().lex(file.text)) {
    for (const token of parser.next(lexeme)) yield* composer.next(token)
    if (++lexemes % LEXEMES_BETWEEN_PAUSES === 0) yield
  }
  for (const token of parser.end()) yield* composer.next(token)
  yield* composer.end()
}
