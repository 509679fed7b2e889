// Planted: a test helper that the product must not use.
export const probe = 'probe'
