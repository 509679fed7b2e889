// The documents of a YAML (or JSON) text, one after the other: the reader pauses within and between them.

import { Composer, CST, type Document, Lexer, Parser } from 'yaml'
import type { SourceFile } from './config-node.ts'
import { takeListApart } from './yaml-list.ts'

/** A document, or an object of a list that was taken apart. */
export interface ReadDocument {
  readonly document: Document.Parsed
  /** Where an object of a list stands in its document; empty for a whole document. */
  readonly path: string
}

const LEXEMES_BETWEEN_PAUSES = 256
const OPTIONS = { prettyErrors: false, strict: true } as const

/**
 * The documents of a file, as `parseAllDocuments` of the library reads them; `undefined` where it may pause. The objects
 * of a list come before the list, which is empty then. What cannot be divided is the last step of a document or of such
 * an object, from its syntax tree to its nodes.
 * @throws RangeError for text that is nested many thousand levels deep: the library recurses there
 */
export function* yamlDocuments(file: SourceFile): Generator<ReadDocument | undefined, void, undefined> {
  const reader = new DocumentReader()
  const parser = new Parser(file.lines.addNewLine)
  file.lines.addNewLine(0)
  let lexemes = 0
  for (const lexeme of new Lexer().lex(file.text)) {
    reader.see(lexeme)
    for (const token of parser.next(lexeme)) yield* reader.next(token)
    if (++lexemes % LEXEMES_BETWEEN_PAUSES === 0) yield
  }
  for (const token of parser.end()) yield* reader.next(token)
  yield* reader.end()
}

class DocumentReader {
  readonly #composer = new Composer(OPTIONS)
  #previous = ''
  /** Whether a node was named or referred to: then the parts of a document depend on each other. */
  #hasAnchors = false
  /** Directives (`%YAML 1.1`) change how all that follows is read. */
  #hasDirectives = false

  see(lexeme: string): void {
    // What follows this mark is a text, whatever it begins with.
    if (this.#previous !== CST.SCALAR && (lexeme.startsWith('&') || lexeme.startsWith('*'))) this.#hasAnchors = true
    this.#previous = lexeme
  }

  *next(token: CST.Token): Generator<ReadDocument | undefined, void, undefined> {
    if (token.type === 'directive') this.#hasDirectives = true
    const isPlain = token.type === 'document' && !this.#hasAnchors && !this.#hasDirectives
    const parts = isPlain ? takeListApart(token) : undefined
    if (token.type === 'document') this.#hasAnchors = false
    // First, since the document before comes only now.
    yield* whole(this.#composer.next(parts?.head ?? token))
    for (const [number, item] of (parts?.items ?? []).entries()) {
      const composer = new Composer(OPTIONS)
      for (const document of composer.compose([item])) yield { document, path: `items[${number}]` }
      yield
    }
  }

  *end(): Generator<ReadDocument, void, undefined> {
    yield* whole(this.#composer.end())
  }
}

function* whole(documents: Iterable<Document.Parsed>): Generator<ReadDocument, void, undefined> {
  for (const document of documents) yield { document, path: '' }
}
