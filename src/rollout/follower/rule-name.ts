// Names of rules in what processes say of rollouts.

const KIND = '.rule.'

/** How people call a rule: `name.namespace`, of its full name `name.rule.namespace`. */
export function ruleOf(fullName: string): string {
  const at = fullName.lastIndexOf(KIND)
  return at < 0 ? fullName : `${fullName.slice(0, at)}.${fullName.slice(at + KIND.length)}`
}
