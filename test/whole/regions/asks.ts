// What tests and measurements ask of the nodes of regions, over HTTP.

import { type Intermix, sumOfSeries } from '../intermix.ts'

export interface Told {
  readonly tier: string
  readonly code: number
  /** What was granted of the quota `calls`, where some of it was asked for. */
  readonly granted: number | undefined
}

/** Asks whether a user may pass, and for so much of the quota `calls` where an amount is given. */
export async function check(node: Intermix, path: string, user: string, amount?: number): Promise<Told> {
  const attributes = { 'request.path': path, 'request.headers': { 'x-user': user } }
  const quotas = amount === undefined ? {} : { quotas: { calls: { amount, bestEffort: true } } }
  const { body } = await post(httpOf(node), '/v1/check', { attributes, ...quotas })
  const { code } = body['status'] as { code: number }
  const granted = (body['quotas'] as Record<string, { granted: number }> | undefined)?.['calls']?.granted
  return { tier: String(body['tier']), code, granted }
}

/** Reports one record for each name. @returns the HTTP status. */
export async function report(node: Intermix, names: readonly string[]): Promise<number> {
  const records = names.map((name) => ({ 'request.path': name }))
  return (await post(httpOf(node), '/v1/report', { records })).status
}

export interface Revoked {
  readonly status: number
  readonly confirmed: readonly string[]
  readonly unconfirmed: readonly string[]
}

/** Revokes what depended on a user. */
export async function revoke(node: Intermix, user: string): Promise<Revoked> {
  const target = { kind: 'attribute', name: 'request.headers', key: 'x-user', value: user }
  const { status, body } = await post(node.adminUrl, '/v1/revocations', target)
  const names = (key: string) => (Array.isArray(body[key]) ? body[key].map(String).toSorted() : [])
  return { status, confirmed: names('confirmed'), unconfirmed: names('unconfirmed') }
}

/** Sum over the series of a metric whose labels hold `label`. */
export async function metric(node: Intermix, name: string, label = ''): Promise<number> {
  const text = await (await fetch(`${node.adminUrl}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line.includes(label))
  return sumOfSeries(lines.join('\n'), name)
}

function httpOf({ httpPort }: Intermix): string {
  return `http://127.0.0.1:${httpPort}`
}

async function post(url: string, path: string, body: object) {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}
