// Defects of what rules charge to quotas by themselves, and of what is said of it.

import type * as CheckEngineModule from '../../src/policy/check-engine.ts'
import type * as CompileRuleModule from '../../src/config/compile-rule.ts'
import type * as LimitHeadersModule from '../../src/policy/limit-headers.ts'
import type * as QuotaModule from '../../src/policy/quota.ts'
import type * as RuleQuotasModule from '../../src/policy/rule-quotas.ts'
import type { Instance } from '../../src/adapter-kit/instance.ts'
import type { InstanceConfig } from '../../src/config/snapshot.ts'
import type { CheckOptions } from '../../src/kernel/services.ts'
import { type Defect, replace } from './planted.ts'

const CHECK_ENGINE = '../../src/policy/check-engine.ts'
const COMPILE_RULE = '../../src/config/compile-rule.ts'
const LIMIT_HEADERS = '../../src/policy/limit-headers.ts'
const QUOTA = '../../src/policy/quota.ts'
const RULE_QUOTAS = '../../src/policy/rule-quotas.ts'

type Charge = typeof RuleQuotasModule.chargeRules

function replaceCharge(change: (charge: Charge) => Charge): void {
  replace<typeof RuleQuotasModule>(RULE_QUOTAS, ({ chargeRules }) => ({ chargeRules: change(chargeRules) }))
}

function replaceOptions(change: (options: CheckOptions) => CheckOptions): void {
  replace<typeof CheckEngineModule>(CHECK_ENGINE, ({ CheckEngine }) => ({
    CheckEngine: class extends CheckEngine {
      override check(...[bag, options]: Parameters<InstanceType<typeof CheckEngine>['check']>) {
        return super.check(bag, change(options))
      }
    },
  }))
}

/** Changes the quotas that rules charge. */
function replaceQuotas(change: (filled: Instance) => Instance): void {
  replace<typeof CompileRuleModule>(COMPILE_RULE, ({ compileRule }) => ({
    compileRule(...parameters) {
      const rule = compileRule(...parameters)
      const changed = (config: InstanceConfig): InstanceConfig =>
        config.template.variety !== 'quota'
          ? config
          : {
              ...config,
              build(...reads) {
                const filled = config.build(...reads)
                return 'fields' in filled ? change(filled) : filled
              },
            }
      const actions = rule?.actions.map((action) => ({ ...action, instances: action.instances.map(changed) }))
      return rule && { ...rule, actions: actions ?? [] }
    },
  }))
}

export const CHARGE_DEFECTS: readonly Defect[] = [
  {
    name: 'an answer that was given before charges nothing',
    plant: () =>
      replaceCharge((charge) => (readings, answer) => (answer.tier === 'local' ? answer : charge(readings, answer))),
  },
  {
    name: 'an answer of a backend charges twice',
    plant: () =>
      replaceCharge((charge) => (readings, answer) => {
        const charged = charge(readings, answer)
        if (answer.tier !== 'backend') return charged
        const again = (done: typeof answer) => (done.status.code === 0 ? charge(readings, answer) : done)
        return charged instanceof Promise ? charged.then(again) : again(charged)
      }),
  },
  {
    name: 'a request that is denied is charged',
    plant: () =>
      replace<typeof CheckEngineModule>(CHECK_ENGINE, ({ CheckEngine }) => ({
        CheckEngine: class extends CheckEngine {
          readonly #given: ConstructorParameters<typeof CheckEngine>[0]

          constructor(given: ConstructorParameters<typeof CheckEngine>[0]) {
            super(given)
            this.#given = given
          }

          override async check(...[bag, options]: Parameters<InstanceType<typeof CheckEngine>['check']>) {
            const { chargeRules } = await import('../../src/policy/rule-quotas.ts')
            const outcome = await super.check(bag, options)
            const { answer } = outcome
            if (answer.status.code === 0 || answer.responseHeaders.length > 0) return outcome
            const allowed = { ...answer, status: { code: 0, message: '' } }
            await this.#given.requests.handle(bag, options, (call) =>
              chargeRules([{ call, rules: call.plan.charging, named: new Set() }], allowed),
            )
            return outcome
          }
        },
      })),
  },
  {
    name: 'quotas are charged to one counter, whatever the dimensions',
    plant: () =>
      replaceQuotas((filled) => ({
        ...filled,
        fields: { ...filled.fields, ...(filled.fields['dimensions'] === undefined ? {} : { dimensions: {} }) },
      })),
  },
  {
    name: 'the amount of an instance is always 1',
    plant: () => replaceQuotas((filled) => ({ ...filled, fields: { ...filled.fields, amount: 1n } })),
  },
  {
    name: 'each rule charges the quota that it shares with another',
    plant: () => {
      let charges = 0
      replace<typeof QuotaModule>(QUOTA, ({ quotaId }) => ({ quotaId: (...of) => `${quotaId(...of)} ${charges++}` }))
    },
  },
  {
    name: 'rules charge what the caller names, too',
    plant: () => replace<typeof QuotaModule>(QUOTA, () => ({ namedQuotas: () => new Set<string>() })),
  },
  {
    name: 'the other reading of a request is not charged',
    plant: () => replaceOptions(({ alsoRead, ...options }) => (alsoRead === undefined ? options : { ...options })),
  },
  {
    name: "rules charge by themselves for Mixer's clients",
    plant: () => replaceOptions((options) => ({ ...options, charging: 'all' })),
  },
  {
    name: 'an answer that was paid for may be given again',
    plant: () =>
      replaceCharge((charge) => (readings, answer) => {
        const again = (done: typeof answer) =>
          done.status.code === 0 ? { ...done, validForMs: answer.validForMs, validUses: answer.validUses } : done
        const charged = charge(readings, answer)
        return charged instanceof Promise ? charged.then(again) : again(charged)
      }),
  },
  {
    name: 'a quota that is used up lets the request pass',
    plant: () =>
      replaceCharge((charge) => (readings, answer) => {
        const pass = (done: typeof answer) => (done.status.code === 8 ? answer : done)
        const charged = charge(readings, answer)
        return charged instanceof Promise ? charged.then(pass) : pass(charged)
      }),
  },
  {
    name: 'a limit that is overdrawn is told as it is',
    plant: () =>
      replace<typeof LimitHeadersModule>(LIMIT_HEADERS, ({ limitHeaders }) => ({
        limitHeaders: (limits) =>
          limitHeaders(limits).map((header) => ({ ...header, value: header.value.replaceAll(';r=0;', ';r=-1;') })),
      })),
  },
  {
    name: 'refusals do not say when to come again',
    plant: () => replace<typeof LimitHeadersModule>(LIMIT_HEADERS, () => ({ retryAfterSeconds: () => undefined })),
  },
  {
    name: 'shadow rules charge nothing',
    plant: () => replace<typeof RuleQuotasModule>(RULE_QUOTAS, () => ({ chargeShadow: () => undefined })),
  },
  {
    name: 'shadow rules that do not apply count as allowing',
    plant: () =>
      replace<typeof RuleQuotasModule>(RULE_QUOTAS, ({ chargeShadow }) => ({
        chargeShadow(charging, metrics) {
          chargeShadow(charging, { shadowQuota: () => undefined })
          for (const rule of charging.rules) metrics.shadowQuota(rule.name, 0)
        },
      })),
  },
]
