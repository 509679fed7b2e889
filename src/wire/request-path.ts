// Splitting the path of a request as proxies hand it over: path and query in one string, undecoded.

import { QueryParams } from './query-params.ts'

/** The path without its query and fragment, undecoded. */
export function urlPathOf(path: string): string {
  const mark = path.indexOf('?')
  const hash = path.indexOf('#')
  if (mark < 0) return hash < 0 ? path : path.slice(0, hash)
  return path.slice(0, hash >= 0 && hash < mark ? hash : mark)
}

/** The query without its `?`, undecoded; empty where there is none. */
export function queryOf(path: string): string {
  const start = path.indexOf('?')
  if (start < 0) return ''
  const end = path.indexOf('#', start)
  return path.slice(start + 1, end < 0 ? undefined : end)
}

/** The parameters of a path's query; `undefined` where there is no query. */
export function queryParamsOf(path: string): QueryParams | undefined {
  const query = queryOf(path)
  return query === '' ? undefined : new QueryParams(query)
}
