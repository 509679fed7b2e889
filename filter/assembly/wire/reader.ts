// Reads protobuf. There are no exceptions here: what is malformed makes the reader broken, at its end, and its numbers 0.

export const enum WireType {
  VARINT = 0,
  FIXED64 = 1,
  BYTES = 2,
  FIXED32 = 5,
}

const MAX_COUNT: u64 = (1 << 53) - 1

export class Reader {
  pos: usize = 0
  end: usize = 0
  isBroken: bool = false

  open(from: usize, size: i32): void {
    this.pos = from
    this.end = from + <usize>size
    this.isBroken = false
  }

  /** @returns 0, which stands for "no more" */
  fail(): u64 {
    this.isBroken = true
    this.pos = this.end
    return 0
  }

  varint(): u64 {
    let value: u64 = 0
    for (let shift: u64 = 0; shift < 70; shift += 7) {
      if (this.pos >= this.end) return this.fail()
      const byte = <u64>load<u8>(this.pos++)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    return this.fail()
  }

  /** The next tag; 0 at the end. */
  tag(): u32 {
    if (this.pos >= this.end) return 0
    const tag = this.varint()
    if (tag >> 3 === 0 || tag > <u64>u32.MAX_VALUE) this.fail()
    return this.isBroken ? 0 : <u32>tag
  }

  uint(): u32 {
    return <u32>this.varint()
  }

  /** A number of which a double has every digit; negative ones are none. */
  count(): f64 {
    const value = this.varint()
    return <f64>(value > MAX_COUNT ? this.fail() : value)
  }

  sint(): i32 {
    const value = <u32>this.varint()
    return <i32>(value >> 1) ^ -(<i32>(value & 1))
  }

  sint64(): i64 {
    const value = this.varint()
    return <i64>(value >> 1) ^ -(<i64>(value & 1))
  }

  double(): f64 {
    if (this.end - this.pos < 8) {
      this.fail()
      return 0
    }
    const value = load<f64>(this.pos)
    this.pos += 8
    return value
  }

  /** The end of the bytes that follow; the reader stands at their beginning. */
  bytes(): usize {
    const size = this.varint()
    if (size > <u64>(this.end - this.pos)) {
      this.fail()
      return this.end
    }
    return this.pos + <usize>size
  }

  /** Goes into a message. @returns the end of what is around it, for `close` */
  enter(): usize {
    const outer = this.end
    this.end = this.bytes()
    return outer
  }

  close(outer: usize): void {
    if (this.isBroken) this.pos = outer
    else this.pos = this.end
    this.end = outer
  }

  /** Whether a field has the type that it should have; broken where it does not. */
  expect(tag: u32, type: u32): bool {
    if ((tag & 7) === type) return true
    this.fail()
    return false
  }

  skip(tag: u32): void {
    switch (tag & 7) {
      case WireType.VARINT:
        this.varint()
        return
      case WireType.FIXED64:
        this.advance(8)
        return
      case WireType.BYTES:
        this.pos = this.bytes()
        return
      case WireType.FIXED32:
        this.advance(4)
        return
      default:
        this.fail()
    }
  }

  private advance(size: usize): void {
    if (this.end - this.pos < size) this.fail()
    else this.pos += size
  }
}
