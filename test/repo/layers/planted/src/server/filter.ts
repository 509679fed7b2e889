// Planted: a program for Node imports a source of the filter.
export { kept } from '../../filter/assembly/cache/kept.ts'
