// What operators ask of a running process, over its admin port.

export interface OperationRequest {
  /** The body as it came: JSON. */
  readonly body: Buffer
  /** Parameters of the URL. */
  readonly query: Readonly<Record<string, unknown>>
}

export interface OperationReply {
  readonly httpStatus: number
  readonly body: object
}

/** One thing that can be asked. Expected failures are replies; only bugs reject. */
export type Operation = (request: OperationRequest) => Promise<OperationReply>

/** Operations by name: `POST /v1/<name>`, and `GET /v1/<name>` by the name that `asRead` gives them. */
export type Operations = ReadonlyMap<string, Operation>

/** The name of what is read and changes nothing. */
export const asRead = (name: string): string => `GET ${name}`
