// Asks whether requests are allowed, and reports one: `node examples/client/check.mjs`, beside `npm start`.
import { createClient } from 'intermix/client'

const client = createClient({
  nodes: [process.env.INTERMIX_NODE ?? '127.0.0.1:9091'],
  onWarning: (message, fields) => console.error(message, fields),
})

const request = {
  'request.method': 'GET',
  'request.path': '/books/17',
  'destination.service.name': 'books',
  'source.ip': '10.0.0.1',
}

// The first answer comes from a node. The next one is at hand, and no promise: await takes both.
console.log((await client.check(request)).allowed)
const again = client.check({ ...request, 'request.path': '/books/18' })
console.log(again instanceof Promise, (await again).tier)

const denied = await client.check({ ...request, 'request.path': '/admin' })
console.log(denied.allowed, denied.denial().httpStatus, denied.deniedBy?.rule)

client.report({ ...request, 'response.code': 200, 'response.duration': '5ms' })
await client.close()
