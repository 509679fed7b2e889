import { expect, it } from 'vitest'
import { denialOf } from '../../src/kernel/denial.ts'
import { NOT_JUDGED } from '../../src/kernel/verdict.ts'

it('leaves out of a denial what no header can be named, and keeps the denial', () => {
  const headers = { 'X-Good': 'a', 'x\r\ny': 'b', '': 'c', ':status': '200', 'x y': 'd', é: 'e' }
  const answer = {
    ...NOT_JUDGED,
    status: { code: 7, message: 'no' },
    directResponse: { code: 302, body: 'see', headers },
  }
  expect(denialOf(answer)).toEqual({ httpStatus: 302, body: 'see', headers: new Map([['x-good', 'a']]) })
})
