// Problems found in input: all of them are reported, each with its place, what is wrong and what would be right.

/** One problem in a file or a value. Lines and columns count from 1; 0 says that the place is not known. */
export interface Problem {
  readonly severity: 'error' | 'warning'
  /** Stable code, such as `unknown-handler`. */
  readonly code: string
  /** File path, or another name of the input; empty where there is none. */
  readonly file: string
  readonly line: number
  readonly column: number
  /** Dotted path of the field, such as `spec.actions[0].handler`; may be empty. */
  readonly path: string
  /** What is wrong and what would be right, in one sentence or two. */
  readonly message: string
}

/** `file:line:column: error: message [code]`, the form that editors and CI annotate. */
export function formatProblem(problem: Problem): string {
  const place = [problem.file, ...(problem.line > 0 ? [problem.line, problem.column] : [])].join(':')
  const path = problem.path === '' ? '' : `${problem.path}: `
  return `${place === '' ? '' : `${place}: `}${problem.severity}: ${path}${problem.message} [${problem.code}]`
}

/** An error about a value that stands in no file, such as a field of a request's body. */
export function fieldProblem(path: string, message: string, code = 'invalid-field'): Problem {
  return { severity: 'error', code, file: '', line: 0, column: 0, path, message }
}
