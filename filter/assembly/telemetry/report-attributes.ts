// The attributes of a record, in Mixer's vocabulary, as the door of access logs derives them (wire/access-log-*.ts): names, types, and
// where a name stands in the dictionary that both sides of a report know (wire/mixer/dictionary.ts).

import { Bytes, bytesOf, isBytes } from '../bytes/bytes'

export const enum Is {
  SOURCE_IP = 0,
  ORIGIN_IP = 1,
  DESTINATION_IP = 2,
  SOURCE_PORT = 3,
  DESTINATION_PORT = 4,
  SOURCE_PRINCIPAL = 5,
  SOURCE_NAMESPACE = 6,
  SOURCE_ACCOUNT = 7,
  DESTINATION_PRINCIPAL = 8,
  DESTINATION_NAMESPACE = 9,
  DESTINATION_ACCOUNT = 10,
  SERVICE_HOST = 11,
  SERVICE_NAME = 12,
  SERVICE_NAMESPACE = 13,
  MTLS = 14,
  SERVER_NAME = 15,
  CONNECTION_ID = 16,
  EVENT = 17,
  PROTOCOL = 18,
  PROXY_ERROR_CODE = 19,
  REPORTER_KIND = 20,
  REPORTER_UID = 21,
  TIME = 22,
  CHECK_CODE = 23,
  CHECK_MESSAGE = 24,
  CHECK_CACHE_HIT = 25,
  METHOD = 26,
  PATH = 27,
  URL_PATH = 28,
  QUERY_PARAMS = 29,
  HOST = 30,
  SCHEME = 31,
  USER_AGENT = 32,
  REFERER = 33,
  REQUEST_ID = 34,
  REQUEST_TIME = 35,
  REQUEST_SIZE = 36,
  REQUEST_TOTAL_SIZE = 37,
  REQUEST_HEADERS = 38,
  RESPONSE_CODE = 39,
  RESPONSE_SIZE = 40,
  RESPONSE_TOTAL_SIZE = 41,
  RESPONSE_DURATION = 42,
  RESPONSE_TIME = 43,
  RESPONSE_HEADERS = 44,
  GRPC_STATUS = 45,
  GRPC_MESSAGE = 46,
  COUNT = 47,
}

/** Fields of `istio.mixer.v1.CompressedAttributes`, by type. */
export const enum Type {
  TEXT = 2,
  INTEGER = 3,
  BOOLEAN = 5,
  TIME = 6,
  DURATION = 7,
  BYTES = 8,
  MAP = 9,
}

/** Where a name is not in the dictionary. */
export const NO_WORD: i32 = -1

class Names {
  readonly names: StaticArray<Bytes> = new StaticArray<Bytes>(Is.COUNT)
  readonly words: StaticArray<i32> = new StaticArray<i32>(Is.COUNT)
  readonly types: StaticArray<i32> = new StaticArray<i32>(Is.COUNT)

  constructor() {
    this.set(Is.SOURCE_IP, Type.BYTES, 0, 'source.ip')
    this.set(Is.ORIGIN_IP, Type.BYTES, NO_WORD, 'origin.ip')
    this.set(Is.DESTINATION_IP, Type.BYTES, 150, 'destination.ip')
    this.set(Is.SOURCE_PORT, Type.INTEGER, 1, 'source.port')
    this.set(Is.DESTINATION_PORT, Type.INTEGER, 151, 'destination.port')
    this.set(Is.SOURCE_PRINCIPAL, Type.TEXT, 174, 'source.principal')
    this.set(Is.SOURCE_NAMESPACE, Type.TEXT, 4, 'source.namespace')
    this.set(Is.SOURCE_ACCOUNT, Type.TEXT, NO_WORD, 'source.serviceAccount')
    this.set(Is.DESTINATION_PRINCIPAL, Type.TEXT, 186, 'destination.principal')
    this.set(Is.DESTINATION_NAMESPACE, Type.TEXT, 155, 'destination.namespace')
    this.set(Is.DESTINATION_ACCOUNT, Type.TEXT, NO_WORD, 'destination.serviceAccount')
    this.set(Is.SERVICE_HOST, Type.TEXT, 193, 'destination.service.host')
    this.set(Is.SERVICE_NAME, Type.TEXT, 191, 'destination.service.name')
    this.set(Is.SERVICE_NAMESPACE, Type.TEXT, 192, 'destination.service.namespace')
    this.set(Is.MTLS, Type.BOOLEAN, 177, 'connection.mtls')
    this.set(Is.SERVER_NAME, Type.TEXT, 202, 'connection.requested_server_name')
    this.set(Is.CONNECTION_ID, Type.TEXT, 125, 'connection.id')
    this.set(Is.EVENT, Type.TEXT, 171, 'connection.event')
    this.set(Is.PROTOCOL, Type.TEXT, 131, 'context.protocol')
    this.set(Is.PROXY_ERROR_CODE, Type.TEXT, 205, 'context.proxy_error_code')
    this.set(Is.REPORTER_KIND, Type.TEXT, 201, 'context.reporter.kind')
    this.set(Is.REPORTER_UID, Type.TEXT, 197, 'context.reporter.uid')
    this.set(Is.TIME, Type.TIME, 133, 'context.time')
    this.set(Is.CHECK_CODE, Type.INTEGER, 167, 'check.error_code')
    this.set(Is.CHECK_MESSAGE, Type.TEXT, 168, 'check.error_message')
    this.set(Is.CHECK_CACHE_HIT, Type.BOOLEAN, 172, 'check.cache_hit')
    this.set(Is.METHOD, Type.TEXT, 19, 'request.method')
    this.set(Is.PATH, Type.TEXT, 17, 'request.path')
    this.set(Is.URL_PATH, Type.TEXT, 203, 'request.url_path')
    this.set(Is.QUERY_PARAMS, Type.MAP, 204, 'request.query_params')
    this.set(Is.HOST, Type.TEXT, 18, 'request.host')
    this.set(Is.SCHEME, Type.TEXT, 22, 'request.scheme')
    this.set(Is.USER_AGENT, Type.TEXT, 25, 'request.useragent')
    this.set(Is.REFERER, Type.TEXT, 21, 'request.referer')
    this.set(Is.REQUEST_ID, Type.TEXT, 16, 'request.id')
    this.set(Is.REQUEST_TIME, Type.TIME, 24, 'request.time')
    this.set(Is.REQUEST_SIZE, Type.INTEGER, 23, 'request.size')
    this.set(Is.REQUEST_TOTAL_SIZE, Type.INTEGER, 169, 'request.total_size')
    this.set(Is.REQUEST_HEADERS, Type.MAP, 15, 'request.headers')
    this.set(Is.RESPONSE_CODE, Type.INTEGER, 30, 'response.code')
    this.set(Is.RESPONSE_SIZE, Type.INTEGER, 27, 'response.size')
    this.set(Is.RESPONSE_TOTAL_SIZE, Type.INTEGER, 170, 'response.total_size')
    this.set(Is.RESPONSE_DURATION, Type.DURATION, 29, 'response.duration')
    this.set(Is.RESPONSE_TIME, Type.TIME, 28, 'response.time')
    this.set(Is.RESPONSE_HEADERS, Type.MAP, 26, 'response.headers')
    this.set(Is.GRPC_STATUS, Type.TEXT, 198, 'response.grpc_status')
    this.set(Is.GRPC_MESSAGE, Type.TEXT, 199, 'response.grpc_message')
  }

  private set(attribute: i32, type: i32, word: i32, name: string): void {
    this.names[attribute] = bytesOf(name)
    this.words[attribute] = word
    this.types[attribute] = type
  }
}

const ALL = new Names()
export const NAMES: StaticArray<Bytes> = ALL.names
export const NAME_WORDS: StaticArray<i32> = ALL.words
export const TYPES: StaticArray<i32> = ALL.types

/** The attribute of a name that operators have set; -1 where records have none of it. */
export function attributeNamed(name: Bytes): i32 {
  for (let i = 0; i < Is.COUNT; i++) if (isBytes(NAMES[i], name)) return i
  return -1
}
