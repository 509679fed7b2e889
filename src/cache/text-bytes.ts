// What a text takes of memory.

/** V8 keeps a text in bytes unless one of its characters takes two: then all do. */
const WIDE = /[^\0-\xff]/

/** Bytes of a text by itself. */
export function textBytes(text: string): number {
  return (WIDE.test(text) ? 2 : 1) * text.length
}
