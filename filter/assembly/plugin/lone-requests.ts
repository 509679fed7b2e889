// Requests whose answers could not be shared a moment ago: others that look like them do not wait for theirs.

const SLOTS = 1_024
const FOR_MS: f64 = 1_000

export class LoneRequests {
  private readonly keys: StaticArray<u32> = new StaticArray<u32>(SLOTS)
  private readonly until: StaticArray<f64> = new StaticArray<f64>(SLOTS)

  has(likeness: u32, now: f64): bool {
    const slot = likeness % SLOTS
    return this.keys[slot] === likeness && now < this.until[slot]
  }

  /** @param isShared whether others can have the answer that has come */
  learn(likeness: u32, isShared: bool, now: f64): void {
    const slot = likeness % SLOTS
    if (isShared && this.keys[slot] !== likeness) return
    this.keys[slot] = likeness
    this.until[slot] = isShared ? 0 : now + FOR_MS
  }
}
