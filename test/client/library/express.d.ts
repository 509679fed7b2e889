// What the test uses of express, which has no types of its own.
declare module 'express' {
  import type { Server, ServerResponse } from 'node:http'
  import type { Request as Incoming } from '../../../src/client/library/express.ts'
  type Next = (error?: unknown) => void
  type Response = ServerResponse & {
    send(body: string): void
    status(code: number): Response
    json(body: unknown): void
  }
  type Handler = (request: Incoming, response: Response, next: Next) => unknown
  export interface App {
    use(...handlers: Handler[]): void
    use(path: string, ...handlers: Handler[]): void
    get(path: string, handler: Handler): void
    set(name: string, value: unknown): void
    listen(port: number, host: string, done: () => void): Server
  }
  function create(): App
  export default create
}
