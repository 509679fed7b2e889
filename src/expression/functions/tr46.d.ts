// The part of tr46's interface that is used here; the package ships no types.

declare module 'tr46' {
  interface ProcessingOptions {
    readonly checkHyphens?: boolean
    readonly checkBidi?: boolean
    readonly checkJoiners?: boolean
    readonly useSTD3ASCIIRules?: boolean
  }

  /** Processing of UTS #46. `domain` is best effort where there is an `error`. */
  export function toUnicode(domain: string, options: ProcessingOptions): { domain: string; error: boolean }
}
