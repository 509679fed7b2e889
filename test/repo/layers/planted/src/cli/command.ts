// Where the planted composition and part reach.
export const command = 0
