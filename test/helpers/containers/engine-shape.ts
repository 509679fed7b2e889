// What tests ask of a container engine.

/** Two commands with one language: `docker` and `docker compose`, or `podman` and `podman-compose`. */
export interface Engine {
  readonly name: 'docker' | 'podman'
  /** What its command needs in the environment. */
  readonly env: Readonly<Record<string, string>>
  /** Runs the engine's own command. @returns its output */
  container(args: readonly string[]): Promise<string>
  /** Runs the compose command for a project. @returns its output */
  compose(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string>
  /** Builds the image of the project's Dockerfile under the name that the compose file gives it. */
  build(): Promise<void>
}
