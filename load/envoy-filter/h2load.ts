// Requests of a proxy by h2load, one process for each connection: each asks for its own paths, in an order fixed before.

import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import { mean, quantiles } from '../statistics.ts'

export interface Asked {
  /** Files with the paths that each connection asks for, one after the other, and from the beginning again. */
  readonly files: readonly string[]
  readonly url: string
  /** Requests under way at each connection. */
  readonly inFlight: number
  /** How many requests, or for how long. */
  readonly form: { readonly requests: number } | { readonly seconds: number; readonly perSecond?: number }
}

export interface Answered {
  readonly done: number
  /** Others than 200. */
  readonly refused: number
  /** In microseconds. */
  readonly latency: { readonly mean: number; readonly p50: number; readonly p99: number }
}

/** Resolves when all connections are done. @throws Error where h2load is not here, or says no figures */
export async function askByH2load(asked: Asked): Promise<Answered> {
  const latencies: number[] = []
  let refused = 0
  const parts = await Promise.all(asked.files.map((file) => one(asked, file)))
  for (const { times, others } of parts) {
    for (const time of times) latencies.push(time)
    refused += others
  }
  const [p50, p99] = quantiles(Float64Array.from(latencies), 0.5, 0.99)
  return { done: latencies.length, refused, latency: { mean: mean(latencies), p50, p99 } }
}

interface Part {
  readonly times: readonly number[]
  readonly others: number
}

async function one({ url, inFlight, form }: Asked, file: string): Promise<Part> {
  const log = `${file}.log`
  await rm(log, { force: true })
  const many =
    'requests' in form
      ? ['-n', String(form.requests)]
      : ['-D', String(form.seconds), ...(form.perSecond === undefined ? [] : ['--rps', String(form.perSecond)])]
  const headers = HEADERS.flatMap((header) => ['-H', header])
  const connection = ['-c1', `-m${inFlight}`, '-i', file, '-B', url, `--log-file=${log}`]
  await promisify(execFile)('h2load', [...connection, ...many, ...headers])
  return readLog(await readFile(log, 'latin1'))
}

/** What a browser sends beside: about as many headers as a request in a mesh has. */
const HEADERS = [
  'user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  'accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'accept-language: en-GB,en;q=0.5',
  'accept-encoding: gzip, deflate, br',
  'authorization: Bearer 4f8c1f0d9f5be2f3a7d60f1c',
  'x-b3-traceid: 463ac35c9f6413ad48485a3953bb6124',
]

/** Lines of when it was asked, the status, and how long that took, in microseconds. */
function readLog(text: string): Part {
  const times: number[] = []
  let others = 0
  for (const line of text.split('\n')) {
    const [, status, micros] = line.split('\t')
    if (micros === undefined) continue
    times.push(Number(micros))
    if (status !== '200') others++
  }
  return { times, others }
}
