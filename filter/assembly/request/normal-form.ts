// Whether a path, a host and a method are surely in the form in which policy sees them: the same tests as those of nodes
// (wire/normal-path.ts, wire/normal-host.ts), which may say no of what is normal, too. There is no need to make a normal form here:
// whatever has another one is told apart by how it was sent.

const SLASH: u8 = 0x2f
const DOT: u8 = 0x2e
const COLON: u8 = 0x3a
const SEMICOLON: u8 = 0x3b
const QUERY: u8 = 0x3f
const HASH: u8 = 0x23

/** 1: what a path may hold; 2: what a name of a host may hold. */
const PLAIN: StaticArray<u8> = classes()

function classes(): StaticArray<u8> {
  const plain = new StaticArray<u8>(256)
  const both = 'abcdefghijklmnopqrstuvwxyz0123456789_.~-'
  for (let i = 0; i < both.length; i++) plain[both.charCodeAt(i)] = 3
  const path = "ABCDEFGHIJKLMNOPQRSTUVWXYZ!$&'()*+,;=:@/"
  for (let i = 0; i < path.length; i++) plain[path.charCodeAt(i)] = 1
  return plain
}

export function isNormalPath(path: usize, size: i32): bool {
  if (size === 0 || load<u8>(path) !== SLASH) return false
  let before: u8 = 0
  for (let i = 0; i < size; i++) {
    const code = load<u8>(path + <usize>i)
    if (code === QUERY) {
      if (i + 1 === size) return false
      for (let j = i + 1; j < size; j++) if (load<u8>(path + <usize>j) === HASH) return false
      return true
    }
    if ((unchecked(PLAIN[code]) & 1) === 0) return false
    if (before === SLASH && (code === SLASH || code === DOT || code === SEMICOLON)) return false
    before = code
  }
  return true
}

export function isNormalHost(host: usize, size: i32): bool {
  let before = DOT
  for (let i = 0; i < size; i++) {
    const code = load<u8>(host + <usize>i)
    if (code === COLON) return before !== DOT && isNormalPort(host + <usize>(i + 1), size - i - 1)
    if ((unchecked(PLAIN[code]) & 2) === 0 || (code === DOT && before === DOT)) return false
    before = code
  }
  return before !== DOT
}

function isNormalPort(port: usize, size: i32): bool {
  let value = 0
  for (let i = 0; i < size; i++) {
    const digit = <i32>load<u8>(port + <usize>i) - 0x30
    if (digit < 0 || digit > 9 || (digit === 0 && i === 0) || value > 65_535) return false
    value = value * 10 + digit
  }
  return value > 0 && value <= 65_535 && value !== 80 && value !== 443
}

/** In capitals, as policy sees methods. */
export function isNormalMethod(method: usize, size: i32): bool {
  for (let i = 0; i < size; i++) {
    const code = load<u8>(method + <usize>i)
    if (code >= 0x61 && code <= 0x7a) return false
  }
  return size > 0
}
