// What the processes of a node offer to be fetched, in one answer: whoever is asked answers for all.

import { randomUUID } from 'node:crypto'
import { type Exposed, type ExposedPart, joinParts, partsOf } from '../adapter-kit/exposed-part.ts'
import type { Siblings } from '../kernel/siblings.ts'

/** One message between processes holds about so many characters: it is read and written at once. */
const PAGE_CHARS = 256 * 1024
/** Answers of which others have not yet fetched all pages. */
const MAX_OPEN = 4

interface Question {
  readonly fetch: string
  readonly page: number
}

type Render = () => Exposed | Promise<Exposed>
type Page = readonly ExposedPart[]

/** Answers the others under `name` from now on, until `end` is called; `render` puts their answers beside this process's own. */
export function exposedByAll(name: string, own: Render, siblings: Siblings): { render: Render; end: () => void } {
  const open = new Map<string, readonly Page[]>()
  const end = siblings.answer(name, async (question) => {
    const { fetch, page } = question as Question
    if (page === 0) {
      open.set(fetch, pagesOf(partsOf(await own())))
      for (const oldest of open.keys()) if (open.size > MAX_OPEN) open.delete(oldest)
    }
    const pages = open.get(fetch)
    if (pages === undefined || page + 1 >= pages.length) open.delete(fetch)
    return pages?.[page]
  })
  const others = async () => {
    const fetch = randomUUID()
    const pages: Page[] = []
    for (let page = 0; ; page++) {
      const { answers } = await siblings.ask(name, { fetch, page } satisfies Question)
      const found = [...answers.values()].filter((answer) => answer !== undefined) as Page[]
      if (found.length === 0) return pages
      pages.push(...found)
    }
  }
  return {
    end,
    async render() {
      const [parts, pages] = await Promise.all([own(), others()])
      return joinParts([partsOf(parts), ...pages])
    },
  }
}

function pagesOf(parts: Page): readonly Page[] {
  const pages: ExposedPart[][] = []
  let chars = Number.POSITIVE_INFINITY
  for (const { key, head, body } of parts) {
    // The head goes with each piece: whoever puts them together takes the first.
    for (const piece of body.length === 0 ? [''] : body) {
      if (chars > PAGE_CHARS) {
        pages.push([])
        chars = 0
      }
      pages.at(-1)?.push({ key, head, body: piece === '' ? [] : [piece] })
      chars += head.length + piece.length
    }
  }
  return pages
}
