// Routes on Node's own server: the few that there are need no framework, and a framework takes 7 MB of a sidecar.

import { sendAnswer } from '../kernel/http-answer.ts'
import { answerBy, type HostedRoutes, type HttpHost, routeFinder } from './http-host.ts'

/** Leads requests to routes by itself. */
export function plainHost(given: HostedRoutes): HttpHost {
  const find = routeFinder(given.routes)
  return {
    handle(request, response) {
      const { method, url = '/' } = request
      const found = find(method, url)
      if ('status' in found) sendAnswer(response, found)
      else answerBy(found, request, url, given, (answer) => sendAnswer(response, answer))
    },
    ready: async () => {},
    close: async () => {},
  }
}
