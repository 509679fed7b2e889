// Passwords and keys from files, as they are now: who changes them in place, as Kubernetes does, has them in use with the next
// connection that is made.

import { createSecureContext } from 'node:tls'
import { IntermixError } from '../kernel/errors.ts'
import { isKeyOf, readCertificates, readPrivateKey } from '../kernel/pem.ts'
import type { RedisAccess } from './redis-access.ts'
import { readSecretFile, reasonOf } from './secret-file.ts'

const MAX_PASSWORD_LENGTH = 4096

/** What the files hold. */
export interface Secrets {
  readonly password: string | undefined
  readonly sentinelPassword: string | undefined
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string }
}

/** Follows the files of one access. */
export class SignIn {
  /** Options of every TLS connection: one object, whose contents follow the files. */
  readonly tls: Secrets['tls']
  readonly #access: RedisAccess
  readonly #onProblem: (problem: IntermixError) => void
  #secrets: Secrets
  #told: string | undefined

  /** @throws IntermixError INVALID_SETTING where a file cannot be used. */
  constructor(access: RedisAccess, onProblem: (problem: IntermixError) => void) {
    this.#access = access
    this.#onProblem = onProblem
    this.#secrets = readSecrets(access)
    this.tls = { ...this.#secrets.tls }
  }

  /** Whether there is anything to read again. */
  get followsFiles(): boolean {
    const { passwordFile, sentinel, tls } = this.#access
    return (passwordFile ?? sentinel?.passwordFile ?? tls) !== undefined
  }

  /** What the files hold now; files that cannot be used leave what they held before. */
  read(): Secrets {
    try {
      this.#secrets = readSecrets(this.#access)
      this.#told = undefined
      Object.assign(this.tls, this.#secrets.tls)
    } catch (error) {
      const problem = IntermixError.from(error)
      if (problem.message !== this.#told) this.#onProblem(problem)
      this.#told = problem.message
    }
    return this.#secrets
  }
}

function readSecrets({ passwordFile, sentinel, tls }: RedisAccess): Secrets {
  const ca = read('authorities for Redis', tls?.ca, readCertificates)
  const cert = read('certificate for Redis', tls?.cert, readCertificates)
  const key = read('key for Redis', tls?.key, readPrivateKey)
  if (cert !== undefined && key !== undefined) {
    if (!isKeyOf(key, cert))
      throw unusable('key for Redis', tls?.key, 'it is not that of the first certificate beside it')
    read('certificate for Redis', tls?.cert, () => createSecureContext({ cert, key }))
  }
  return {
    password: readPassword('password of Redis', passwordFile),
    sentinelPassword: readPassword('password of the sentinels', sentinel?.passwordFile),
    tls: { ...(ca === undefined ? {} : { ca }), ...(cert === undefined || key === undefined ? {} : { cert, key }) },
  }
}

function readPassword(what: string, path: string | undefined): string | undefined {
  const text = read(what, path, (whole) => {
    const password = withoutLineEnd(whole)
    if (password === '') throw new Error('it is empty')
    if (password.length > MAX_PASSWORD_LENGTH) throw new Error(`it has more than ${MAX_PASSWORD_LENGTH} characters`)
    if (/[\r\n\0]/.test(password)) throw new Error('it has several lines; it must hold the password alone')
  })
  return text === undefined ? undefined : withoutLineEnd(text)
}

function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, '')
}

function read(what: string, path: string | undefined, check: (text: string) => unknown): string | undefined {
  if (path === undefined) return undefined
  try {
    const { text } = readSecretFile(path)
    check(text)
    return text
  } catch (error) {
    throw unusable(what, path, reasonOf(error))
  }
}

function unusable(what: string, path: string | undefined, why: string): IntermixError {
  return new IntermixError('INVALID_SETTING', `the file with the ${what}, ${path ?? ''}, cannot be used: ${why}`)
}
