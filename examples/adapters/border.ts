// A sample adapter with templates of its own, one of each variety: passports are checked, luggage is granted, stamps are
// written to a book, and a registry knows names. The types of what the methods get follow from the templates.

import { appendFile } from 'node:fs/promises'
import { defineAdapter, defineTemplate, z } from 'intermix/adapter-kit'

const passport = defineTemplate({
  name: 'passport',
  variety: 'check',
  fields: { holder: 'STRING', visa: { message: { country: 'STRING', days: 'INT64' } } },
})
const luggage = defineTemplate({ name: 'luggage', variety: 'quota', fields: { holder: 'STRING' } })
const stamp = defineTemplate({ name: 'stamp', variety: 'report', fields: { holder: 'STRING', notes: 'VALUE_MAP' } })
const registry = defineTemplate({
  name: 'registry',
  variety: 'attributes',
  fields: { id: 'STRING' },
  output: { fullName: 'STRING' },
})

export default defineAdapter({
  name: 'border',
  description: 'Looks at passports',
  templates: [passport, luggage, stamp, registry],
  config: z.strictObject({ book: z.string().default(''), shortestStay: z.int().default(1) }),
  doesIo: false,
  create: ({ book, shortestStay }) => ({
    check: {
      passport({ fields: { holder, visa } }) {
        const isGood = visa?.days !== undefined && visa.days >= BigInt(shortestStay)
        return { status: { code: isGood ? 0 : 7, message: isGood ? '' : `${holder?.toUpperCase()} has no visa` } }
      },
    },
    quota: {
      luggage: ({ fields: { holder } }, { amount }) => ({
        status: { code: 0, message: '' },
        granted: holder === 'ada' ? amount : 0,
        validForMs: 1_000,
      }),
    },
    report: {
      async stamp(instances) {
        for (const { fields } of instances) if (book !== '') await appendFile(book, `${fields.holder}\n`)
      },
    },
    attributes: {
      registry: ({ fields: { id } }) => (id === undefined ? {} : { fullName: `citizen ${id.toUpperCase()}` }),
    },
  }),
})
