// Planted: something below for the others to reach.
export const connection = 'connection'
