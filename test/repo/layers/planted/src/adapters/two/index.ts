// Planted: the adapter that another one uses.
export const two = 2
