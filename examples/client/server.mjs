// A fastify server whose requests are checked and reported, and so are the calls that it makes:
// `node examples/client/server.mjs`, beside `npm start`.
import fastify from 'fastify'
import { createClient } from 'intermix/client'
import { intermix as checked } from 'intermix/client/fastify'
import { intermix as calls } from 'intermix/client/undici'
import { Agent, request } from 'undici'

const client = createClient({ nodes: [process.env.INTERMIX_NODE ?? '127.0.0.1:9091'] })
const attributes = { 'destination.service.name': 'shop' }
const outgoing = new Agent().compose(calls({ client, attributes: { 'source.name': 'shop' } }))

const app = fastify()
await app.register(checked, { client, attributes })
app.get('/', async () => 'welcome\n')
// The call carries the trace of the request on; what policy denies is never sent.
app.get('/remote', async (_, reply) => {
  const answer = await request(`${address}/admin`, { dispatcher: outgoing })
  reply.code(answer.statusCode)
  return answer.body.text()
})
app.addHook('onClose', () => client.close())

const address = await app.listen({ port: Number(process.env.PORT ?? 8000), host: '127.0.0.1' })
console.log(`listening at ${address}`)
process.once('SIGTERM', () => void app.close())
