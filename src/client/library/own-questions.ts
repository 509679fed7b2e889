// Questions that are asked in the background outlast the call that brought the request: what its caller changes meanwhile would be
// taken for what the answer is about, and the answer be kept for other requests.

import type { Nodes } from '../nodes/nodes.ts'
import { GivenBag } from './given-attributes.ts'

/** The same nodes, asked about requests as they are now. */
export function withOwnQuestions(nodes: Nodes): Nodes {
  return {
    ask(question) {
      if (question.bag instanceof GivenBag) question.bag.detach()
      return nodes.ask(question)
    },
    config: (affinity) => nodes.config(affinity),
    maxAgeMs: () => nodes.maxAgeMs(),
    call: (path, message, how) => nodes.call(path, message, how),
  }
}
