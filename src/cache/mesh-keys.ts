// The keys of a mesh at work: what nodes sign for each other, and encrypt. Subkeys for each purpose and prefix come from the shared
// keys by HKDF-SHA-256 (RFC 5869), so that nothing which is signed for one purpose holds for another.

import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { IntermixError } from '../kernel/errors.ts'
import type { MeshSeal, SignatureFault, SignedKind } from '../kernel/mesh-signatures.ts'
import { MESH_KEYS, MESH_REFUSED_TOTAL } from '../kernel/metrics/cache.ts'
import type { Clock, Logger, Meter } from '../kernel/ports.ts'
import { type MeshKeyFile, readMeshKeyFile } from './mesh-key-file.ts'

/** What is chosen of them. */
export interface MeshKeyChoices {
  readonly file: string
  /** `accept`: what bears no signature is believed, too, while not all nodes have the key yet. */
  readonly mode: 'require' | 'accept'
  readonly encrypts: boolean
}

export interface MeshKeysOptions extends MeshKeyChoices {
  readonly prefix: string
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

interface Subkeys extends Readonly<Record<SignedKind | 'encryption', KeyObject>> {
  /** Names the key in signatures, and tells nothing of it. */
  readonly id: string
}

const LOOK_EVERY_MS = 5_000
const LOG_EVERY_MS = 60_000
const CONCEALED = 'e1.'
const NONCE_BYTES = 12
const TAG_BYTES = 16

export class MeshKeys implements MeshSeal {
  readonly #options: MeshKeysOptions
  readonly #loggedAt = new Map<string, number>()
  #held: readonly Buffer[] = []
  #signing: Subkeys
  #byId: ReadonlyMap<string, Subkeys> = new Map()
  #told = ''
  #wasOpen = false
  #cancel = () => {}

  /** @throws IntermixError INVALID_SETTING where the file cannot be used. */
  constructor(options: MeshKeysOptions) {
    this.#options = options
    this.#signing = this.#take(readMeshKeyFile(options.file))
  }

  /** Follows the file: what it holds is in use some seconds after it has changed; one that cannot be used changes nothing. */
  start(): void {
    this.#cancel = this.#options.clock.after(LOOK_EVERY_MS, () => {
      this.#look()
      this.start()
    })
  }

  stop(): void {
    this.#cancel()
  }

  sign(kind: SignedKind, text: string): string {
    const { id } = this.#signing
    return `${id}.${mac(this.#signing[kind], text)}`
  }

  fault(kind: SignedKind, text: string, signature: string): SignatureFault | undefined {
    if (signature === '') return this.#options.mode === 'accept' ? undefined : 'unsigned'
    const dot = signature.indexOf('.')
    const key = this.#byId.get(signature.slice(0, dot))
    if (key === undefined) return 'unknown_key'
    const given = Buffer.from(signature.slice(dot + 1))
    const wanted = Buffer.from(mac(key[kind], text))
    return given.length === wanted.length && timingSafeEqual(given, wanted) ? undefined : 'forged'
  }

  refused(kind: SignedKind, reason: SignatureFault): void {
    const { clock, log, meter } = this.#options
    meter.counter(MESH_REFUSED_TOTAL)({ kind, reason }).add()
    const now = clock.monotonic()
    const series = `${kind} ${reason}`
    if (now - (this.#loggedAt.get(series) ?? Number.NEGATIVE_INFINITY) < LOG_EVERY_MS) return
    this.#loggedAt.set(series, now)
    log.warn({ kind, reason }, 'something in Redis does not bear the signature of this mesh, and is not believed')
  }

  conceal(text: string, context: string): string {
    if (!this.#options.encrypts) return text
    const { id, encryption } = this.#signing
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', encryption, nonce).setAAD(Buffer.from(context))
    const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
    return `${CONCEALED}${id}.${sealed.toString('base64url')}`
  }

  reveal(text: string, context: string): string | undefined {
    if (!text.startsWith(CONCEALED)) return text
    const dot = text.indexOf('.', CONCEALED.length)
    const key = this.#byId.get(text.slice(CONCEALED.length, dot))
    const sealed = Buffer.from(text.slice(dot + 1), 'base64url')
    if (key === undefined || sealed.length < NONCE_BYTES + TAG_BYTES) return undefined
    const open = createDecipheriv('aes-256-gcm', key.encryption, sealed.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    })
      .setAAD(Buffer.from(context))
      .setAuthTag(sealed.subarray(-TAG_BYTES))
    try {
      return Buffer.concat([open.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), open.final()]).toString('utf8')
    } catch {
      return undefined
    }
  }

  #look(): void {
    const { file, log } = this.#options
    try {
      const read = readMeshKeyFile(file)
      const isSame =
        read.keys.length === this.#held.length && read.keys.every((key, at) => this.#held[at]?.equals(key) === true)
      if (!isSame || read.isOpen !== this.#wasOpen) this.#signing = this.#take(read)
      if (!isSame) log.info({ keys: read.keys.length }, 'the keys of the mesh have changed: the first one signs now')
      this.#told = ''
    } catch (error) {
      const { message } = IntermixError.from(error)
      if (message !== this.#told) log.error({}, `${message}; the keys that it held before are used on`)
      this.#told = message
    }
  }

  #take({ keys, isOpen }: MeshKeyFile): Subkeys {
    const { prefix, meter, log, file } = this.#options
    if (isOpen && !this.#wasOpen) log.warn({ file }, '--mesh-key: others may read or change the file; chmod 600')
    this.#wasOpen = isOpen
    this.#held = keys
    const subkeys = keys.map((key) => subkeysOf(key, prefix))
    this.#byId = new Map(subkeys.map((each) => [each.id, each]))
    meter.gauge(MESH_KEYS)().set(keys.length)
    const [first] = subkeys
    if (first === undefined) throw new IntermixError('INTERNAL', 'a file of keys was read that has none')
    return first
  }
}

function subkeysOf(key: Buffer, prefix: string): Subkeys {
  const derive = (purpose: string, bytes: number) =>
    Buffer.from(hkdfSync('sha256', key, 'intermix mesh 1', `${purpose} ${prefix}`, bytes))
  const secret = (purpose: string) => createSecretKey(derive(purpose, 32))
  return {
    id: derive('id', 6).toString('base64url'),
    entry: secret('entry'),
    revocation: secret('revocation'),
    member: secret('member'),
    encryption: secret('encryption'),
  }
}

function mac(key: KeyObject, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url')
}
