/** The operator's routes of the aggregator that serves this page. All that they answer is JSON. */

/** A closed round. */
export interface Round {
  readonly round: string;
  readonly version_before: number;
  readonly clients: number;
  readonly survivors: number;
  readonly dropped: number;
  /** Milliseconds since 1970. */
  readonly closed_at: number;
  readonly bytes_up: number;
  readonly bytes_down: number;
}

/** How good a version is, as the operator measured it. */
export interface Evaluation {
  readonly version: number;
  readonly accuracy: number;
  readonly loss: number;
  readonly examples: number;
}

/** A task in numbers. */
export interface Report {
  readonly figures: {
    readonly name: string;
    readonly state: "running" | "stopped";
    readonly version: number;
    readonly rounds_left: number;
    readonly cohort_size: number;
    readonly min_cohort: number;
    readonly totals: {
      readonly opened: number;
      readonly closed: number;
      readonly aborted: Readonly<Record<string, number>>;
      readonly joined: number;
      readonly survivors: number;
      readonly dropped: number;
      readonly refusals: Readonly<Record<string, number>>;
    };
  };
  readonly round: string | null;
  readonly history: readonly Round[];
  readonly evaluations: readonly Evaluation[];
}

/** A call that was not answered as wished, in words for a person. */
export class CallError extends Error {
  constructor(
    message: string,
    readonly unauthorized = false,
  ) {
    super(message);
  }
}

/** Holds the secret for as long as the page lives, and nowhere else. */
export class Operator {
  readonly #secret: string;

  constructor(secret: string) {
    this.#secret = secret;
  }

  async tasks(): Promise<readonly string[]> {
    const { tasks } = (await this.#json("/v1/tasks")) as { readonly tasks: readonly string[] };
    return tasks;
  }

  async report(task: string): Promise<Report> {
    return (await this.#json(`/v1/tasks/${task}/report`)) as Report;
  }

  async start(task: string): Promise<void> {
    await this.#call("POST", `/v1/tasks/${task}/start`);
  }

  async stop(task: string): Promise<void> {
    await this.#call("POST", `/v1/tasks/${task}/stop`);
  }

  async #json(path: string): Promise<unknown> {
    return (await this.#call("GET", path)).json();
  }

  async #call(method: string, path: string): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(path, {
        method,
        cache: "no-store",
        headers: { authorization: `Bearer ${this.#secret}` },
      });
    } catch {
      throw new CallError("The aggregator does not answer.");
    }
    if (response.ok) return response;
    const said = (await response.text()).trim();
    throw new CallError(explain(response.status, said), response.status === 401);
  }
}

function explain(status: number, said: string): string {
  if (status === 401) return "This is not the operator's secret of this aggregator.";
  if (said === "no-rounds-left") return "The task has run all of its rounds.";
  if (said.startsWith("misconfigured")) return `The aggregator is ${said}`;
  return `The aggregator answered ${status}: ${said}`;
}
