// The examples of RFC 7541, appendix C: each sequence of blocks with the fields and the dynamic table after each.
import { describe, expect, it } from 'vitest'
import { HpackDecoder } from '../../../../src/wire/http2/hpack/decoder.ts'
import type { Field } from '../../../../src/wire/http2/hpack/hpack-error.ts'
import { decodeAll } from './collect.ts'

interface Step {
  readonly hex: string
  readonly fields: string
  /** The newest first; octets as the RFC says them. */
  readonly table: string
  readonly bytes: number
}

const REQUESTS = {
  fields: [
    ':method: GET|:scheme: http|:path: /|:authority: www.example.com',
    ':method: GET|:scheme: http|:path: /|:authority: www.example.com|cache-control: no-cache',
    ':method: GET|:scheme: https|:path: /index.html|:authority: www.example.com|custom-key: custom-value',
  ],
  tables: [
    ':authority: www.example.com',
    'cache-control: no-cache|:authority: www.example.com',
    'custom-key: custom-value|cache-control: no-cache|:authority: www.example.com',
  ],
  bytes: [57, 110, 164],
}
const COOKIE = 'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'
const RESPONSES = {
  fields: [
    ':status: 302|cache-control: private|date: Mon, 21 Oct 2013 20:13:21 GMT|location: https://www.example.com',
    ':status: 307|cache-control: private|date: Mon, 21 Oct 2013 20:13:21 GMT|location: https://www.example.com',
    `:status: 200|cache-control: private|date: Mon, 21 Oct 2013 20:13:22 GMT|location: https://www.example.com|content-encoding: gzip|${COOKIE}`,
  ],
  tables: [
    'location: https://www.example.com|date: Mon, 21 Oct 2013 20:13:21 GMT|cache-control: private|:status: 302',
    ':status: 307|location: https://www.example.com|date: Mon, 21 Oct 2013 20:13:21 GMT|cache-control: private',
    `${COOKIE}|content-encoding: gzip|date: Mon, 21 Oct 2013 20:13:22 GMT`,
  ],
  bytes: [222, 222, 215],
}

function steps(blocks: readonly string[], expected: typeof REQUESTS): Step[] {
  return blocks.map((hex, at) => ({
    hex,
    fields: expected.fields[at] ?? '',
    table: expected.tables[at] ?? '',
    bytes: expected.bytes[at] ?? 0,
  }))
}

const EXAMPLES: Readonly<Record<string, { readonly tableBytes?: number; readonly steps: readonly Step[] }>> = {
  'C.2.1 literal with indexing': {
    steps: [
      {
        hex: '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
        fields: 'custom-key: custom-header',
        table: 'custom-key: custom-header',
        bytes: 55,
      },
    ],
  },
  'C.2.2 literal without indexing': {
    steps: [{ hex: '040c 2f73 616d 706c 652f 7061 7468', fields: ':path: /sample/path', table: '', bytes: 0 }],
  },
  'C.2.3 literal never indexed': {
    steps: [{ hex: '1008 7061 7373 776f 7264 0673 6563 7265 74', fields: 'password: secret', table: '', bytes: 0 }],
  },
  'C.2.4 indexed': { steps: [{ hex: '82', fields: ':method: GET', table: '', bytes: 0 }] },
  'C.3 requests without Huffman coding': {
    steps: steps(
      [
        '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '8286 84be 5808 6e6f 2d63 6163 6865',
        '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
      ],
      REQUESTS,
    ),
  },
  'C.4 requests with Huffman coding': {
    steps: steps(
      [
        '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
        '8286 84be 5886 a8eb 1064 9cbf',
        '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
      ],
      REQUESTS,
    ),
  },
  'C.5 responses without Huffman coding': {
    tableBytes: 256,
    steps: steps(
      [
        '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '4803 3330 37c1 c0bf',
        '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
      ],
      RESPONSES,
    ),
  },
  'C.6 responses with Huffman coding': {
    tableBytes: 256,
    steps: steps(
      [
        '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
        '4883 640e ffc1 c0bf',
        '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
      ],
      RESPONSES,
    ),
  },
}

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}

function show(fields: readonly Field[]): string {
  return fields.map(([name, value]) => `${name}: ${value}`).join('|')
}

function sizeOf(fields: readonly Field[]): number {
  return fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0)
}

/** What the dynamic table holds: its fields are read by index until there is none. */
function tableOf(decoder: HpackDecoder): Field[] {
  const found: Field[] = []
  for (let index = 62; ; index++) {
    try {
      found.push(...decodeAll(decoder, Buffer.from([0x80 | index])))
    } catch {
      return found
    }
  }
}

describe('RFC 7541, appendix C', () => {
  it.each(Object.entries(EXAMPLES))('%s', (_, { tableBytes, steps: all }) => {
    const decoder = new HpackDecoder({ maxTableBytes: tableBytes ?? 4096, maxListBytes: 4096 })
    if (tableBytes === 256) decodeAll(decoder, bytesOf('3fe101'))
    for (const { hex, fields, table, bytes } of all) {
      expect(show(decodeAll(decoder, bytesOf(hex)))).toBe(fields)
      const held = tableOf(decoder)
      expect(show(held)).toBe(table)
      expect(sizeOf(held)).toBe(bytes)
    }
  })
})
