// A certificate and its key are given by two flags, both or neither.

/** What is missing of the flags `FLAG-cert` and `FLAG-key`: the other one, where only one is given. */
export function missingHalf(flag: string, cert: string | undefined, key: string | undefined): readonly string[] {
  if (cert !== undefined && key === undefined)
    return [`${flag}-key: missing beside ${flag}-cert; give the file of its key`]
  if (key !== undefined && cert === undefined)
    return [`${flag}-cert: missing beside ${flag}-key; give the file of its certificate`]
  return []
}
