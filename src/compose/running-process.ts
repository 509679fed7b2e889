// What the composition root hands out: a process that can be started and stopped, whoever runs it.

import type { Operations } from '../kernel/operation.ts'
import type { Clock, Logger, LoopLag, Random } from '../kernel/ports.ts'
import type { Siblings } from '../kernel/siblings.ts'
import type { Health } from '../observe/health.ts'
import type { PrometheusMeter } from '../observe/meter.ts'
import type { Settings } from '../settings/settings.ts'
import type { Role } from '../settings/setting-spec.ts'

/** What a composed process is given. */
export interface ProcessPorts {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: PrometheusMeter
  readonly health: Health
  /** Whether a missed deadline may be this process's own fault. */
  readonly loopLag: LoopLag
  /** The other processes of this node; `undefined` where this is the only one. */
  readonly siblings?: Siblings | undefined
  /** Calls back, before the process ends, with an error that nobody handled. What it calls must be quick and synchronous. */
  readonly onCrash?: ((listener: (error: unknown) => void) => void) | undefined
}

/** What a started process says of itself. */
export interface Started {
  /** `host:port` by the name of the listener (`grpc`, `http`, `prometheus`). */
  readonly addresses: Readonly<Record<string, string>>
  /** Further facts for the start message, such as `config`: `3 rules, 2 handlers`. */
  readonly facts?: Readonly<Record<string, string>>
}

/** A composed process. */
export interface RunningProcess {
  start(): Promise<Started>
  /** Tells callers that the process will end, while it serves on. */
  retire?(): void
  /** Finishes what is in flight within `deadlineMs`; safe without `start`. */
  stop(deadlineMs: number): Promise<void>
  /** Views for the admin server, by name. */
  readonly debug: ReadonlyMap<string, () => unknown>
  /** What the admin server can be asked for, by name. */
  readonly operations?: Operations
}

export type CreateProcess = (role: Role, settings: Settings, ports: ProcessPorts) => Promise<RunningProcess>
