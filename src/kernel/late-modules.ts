// Modules of Node that most processes never need, loaded when they are first asked for. An `import` of one loads it at the start,
// and all that it has to export: 12 MB of memory for http2, 9 for tls, 3 for crypto or util, 2 for zlib.
//
// Tests of what a sidecar loads: test/whole/sidecar-modules.test.ts.

/** Compression. */
export const zlib = () => process.getBuiltinModule('node:zlib')

/** Certificates and keys. */
export const crypto = () => process.getBuiltinModule('node:crypto')

/** TLS; loads `crypto`. */
export const tls = () => process.getBuiltinModule('node:tls')

/** `format`, for who writes to the console; without the facade that an import makes. */
export const util = () => process.getBuiltinModule('node:util')

/** Look-ups of names that wait for nobody. */
export const dns = () => process.getBuiltinModule('node:dns').promises

/** Files, by promises. */
export const files = () => process.getBuiltinModule('node:fs').promises

/** HTTP/1.1. An import of it would bring WebSocket and fetch, 12 MB. */
export const http = () => process.getBuiltinModule('node:http')

/** HTTP/1.1 over TLS; loads `http` and `tls`. */
export const https = () => process.getBuiltinModule('node:https')
