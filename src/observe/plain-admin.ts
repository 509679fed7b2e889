// The admin server of a sidecar, which must stay small: on Node's own server.

import { type HttpAnswer, pathOf, receiveBody, sendAnswer } from '../kernel/http-answer.ts'
import { unbracketed } from '../kernel/ip-address.ts'
import { createHttpOver } from '../tls/http-over.ts'
import {
  type AdminCall,
  adminGate,
  type AdminRoute,
  adminRoutes,
  type AdminServerOptions,
  failure,
  nothingHere,
  tooLarge,
} from './admin-routes.ts'
import { ADMIN_REQUEST_MS, type AdminServer, boundAddress } from './admin-server.ts'

/** Creates the server; nothing is opened yet. */
export function createPlainAdmin(options: AdminServerOptions): AdminServer {
  const routes = adminRoutes(options)
  const gate = adminGate(options)
  const answerOf = async (route: AdminRoute, call: AdminCall): Promise<HttpAnswer> => {
    try {
      return await route.answer(call)
    } catch (caught) {
      return failure(options, caught, call.url)
    }
  }
  const { tls } = options
  const server = createHttpOver(tls, { requestTimeout: ADMIN_REQUEST_MS }, (request, response) => {
    const { url = '/' } = request
    const method = request.method === 'HEAD' ? 'GET' : request.method
    const path = pathOf(url) ?? ''
    const route = routes.find((each) => each.method === method && matches(each, path))
    const refused = gate(request, route?.path ?? '')
    if (refused !== undefined) return sendAnswer(response, refused)
    if (route === undefined) return sendAnswer(response, nothingHere(request))
    const name = path.slice(path.lastIndexOf('/') + 1)
    receiveBody(request, route.maxBodyBytes, (body) => {
      if (body === undefined) return sendAnswer(response, tooLarge())
      void answerOf(route, { name, url, body }).then((answer) => sendAnswer(response, answer))
    })
  })
  return {
    async listen({ host, port }) {
      await tls?.start()
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ host: unbracketed(host), port }, resolve)
      })
      return boundAddress(server)
    },
    async close() {
      tls?.stop()
      tls?.endHandshakes()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

const OPEN = ':name'

function matches({ path: expected }: AdminRoute, path: string): boolean {
  if (!expected.endsWith(OPEN)) return path === expected
  const folder = expected.slice(0, -OPEN.length)
  return path.length > folder.length && path.lastIndexOf('/') === folder.length - 1 && path.startsWith(folder)
}
