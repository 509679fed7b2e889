// Certificates and keys in PEM, checked before they are used: TLS takes an empty file for no certificate, and an authority
// that is not there for all that the world trusts.

import type { KeyObject, X509Certificate } from 'node:crypto'
import { crypto } from './late-modules.ts'

/** @throws Error where there is no certificate, or one that cannot be read. */
export function readCertificates(pem: string): readonly X509Certificate[] {
  const blocks = pem.split(/(?=-----BEGIN )/).filter((block) => /^-----BEGIN (?:\w+ )?CERTIFICATE-----/.test(block))
  if (blocks.length === 0) throw new Error('there is no certificate in PEM in it')
  const { X509Certificate: Certificate } = crypto()
  return blocks.map((block) => new Certificate(block))
}

/** Whether a key is that of the first certificate. @throws Error where one of them cannot be read. */
export function isKeyOf(key: string, certificates: string): boolean {
  return readCertificates(certificates)[0]?.checkPrivateKey(readPrivateKey(key)) !== false
}

/** @throws Error that says what Intermix can do with a key that has a passphrase: nothing. */
export function readPrivateKey(pem: string): KeyObject {
  if (!/-----BEGIN (?:\w+ )*PRIVATE KEY-----/.test(pem)) throw new Error('there is no private key in PEM in it')
  if (/-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(pem))
    throw new Error('it has a passphrase; give a key without')
  return crypto().createPrivateKey(pem)
}
