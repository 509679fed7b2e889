/** The method that Envoy calls before each request. */
export const EXT_AUTHZ_PATH = '/envoy.service.auth.v3.Authorization/Check'
