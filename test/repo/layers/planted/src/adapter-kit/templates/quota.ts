// What the planted policy takes by itself instead of from a registry.
export const quota = { name: 'quota' }
