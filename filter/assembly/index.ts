// The entry of the filter: what Envoy calls.

export function proxy_abi_version_0_2_1(): void {}
