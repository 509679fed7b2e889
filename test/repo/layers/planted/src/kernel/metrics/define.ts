// What the planted metric is made with.
export const counter = (): unknown => undefined
