// How often answers are wanted by requests that look alike, so that as many uses as the next moment needs are paid for at once, where
// rules charge for them. Exponentially weighted averages, as in first-level caches outside of Envoy.

const SLOTS = 1_024
/** What is paid for lasts about so long. */
const HORIZON_S: f64 = 0.1
/** The rate follows what comes within about so long. */
const WINDOW_MS: f64 = 1_000
/** So many are asked for at once, and given back, at most. */
export const MAX_USES: i32 = 1_000

export class UseRates {
  private readonly keys: StaticArray<u32> = new StaticArray<u32>(SLOTS)
  private readonly perSecond: StaticArray<f64> = new StaticArray<f64>(SLOTS)
  private readonly at: StaticArray<f64> = new StaticArray<f64>(SLOTS)

  /** Counts a request. @returns how many uses are wanted: those of the next moment, and this one */
  count(key: u32, now: f64): i32 {
    const slot = key % SLOTS
    // Who comes later has the slot.
    if (this.keys[slot] !== key) {
      this.keys[slot] = key
      this.perSecond[slot] = 0
    }
    const passed = max(0, now - this.at[slot])
    const rate = this.perSecond[slot] * Math.exp(-passed / WINDOW_MS) + 1_000 / WINDOW_MS
    this.perSecond[slot] = rate
    this.at[slot] = now
    return <i32>min<f64>(MAX_USES, max(1, Math.ceil(rate * HORIZON_S)))
  }
}
