// What a node serves that never has too much to do, however busy the machine is: what it refuses then is tested by itself.
import { handAdmission } from '../../server/admission-support.ts'
import { type dependencies, served } from '../../server/fixtures.ts'

export function servedCalmly(given: ReturnType<typeof dependencies>) {
  return served({ ...given, admission: handAdmission().admission })
}
