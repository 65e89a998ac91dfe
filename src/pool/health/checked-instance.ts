import type { HealthCheck } from '../../config/health-options.js';
import { messageOf } from '../../errors.js';
import { type CheckWay, wayOf } from '../../health/check-way.js';
import type { CheckedServer } from '../../health/checked-server.js';
import type { Clock } from '../../runtime/clock.js';
import { requestOf } from '../../server/asked.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { OpenQuestions } from './open-questions.js';

/** What a server is asked that answers no ping, by what it has said that it can do. Neither changes anything. */
const LISTS = ['tools', 'prompts', 'resources'] as const;

/** An instance, as the health monitor of its pool sees it. Its definition may change meanwhile. */
export class CheckedInstance implements CheckedServer {
  readonly #instance: PooledInstance;
  readonly #clock: Clock;
  /** By method. */
  readonly #questions = new Map<string, OpenQuestions>();
  #known: { readonly check: HealthCheck; readonly way: CheckWay } | undefined;

  constructor(instance: PooledInstance, clock: Clock) {
    this.#instance = instance;
    this.#clock = clock;
  }

  get id(): string {
    return this.#instance.id;
  }

  get name(): string {
    return this.#instance.name;
  }

  get interval(): number {
    return this.#instance.definition.health.interval;
  }

  get timeout(): number {
    return this.#instance.definition.health.timeout;
  }

  get unhealthyAfter(): number {
    return this.#instance.definition.health.unhealthyAfter;
  }

  get heard(): number {
    return this.#instance.heard;
  }

  get heardAt(): number {
    return this.#instance.heardAt;
  }

  get way(): CheckWay {
    const { check } = this.#instance.definition.health;
    if (this.#known?.check !== check) this.#known = { check, way: this.#wayOf(check) };
    return this.#known.way;
  }

  process(): ReturnType<CheckedServer['process']> {
    return this.#instance.leaderState();
  }

  requests(): ReturnType<CheckedServer['requests']> {
    const { openRequests: open, wantedRequests: wanted } = this.#instance;
    return { open, wanted };
  }

  activity(): ReturnType<NonNullable<CheckedServer['activity']>> {
    return this.#instance.activity();
  }

  #wayOf(check: HealthCheck): CheckWay {
    const { id: instanceId, name, sharing } = this.#instance;
    if (check === false) return { ...this.#observed, isDue: () => false };
    if (typeof check === 'object' || typeof check === 'function')
      return this.#without(wayOf(check, { name, instanceId, request: requestOf(this.#instance) }));
    if (sharing === 'dedicated') return this.#observed;
    return { countsMessages: true, isObserved: false, isDue: () => true, ask: (signal) => this.#ask(check, signal) };
  }

  /** The same, without the secrets of the server: what a check throws may quote its answer. */
  #without(way: CheckWay): CheckWay {
    const ask = async (signal: AbortSignal) => {
      try {
        return await way.ask(signal);
      } catch (error) {
        throw new Error(this.#instance.secrets.hideIn(messageOf(error)));
      }
    };
    return { ...way, ask };
  }

  /** Its client alone can ask it something, so it is only seen whether it sends anything while it owes an answer. */
  readonly #observed: CheckWay = {
    countsMessages: true,
    isObserved: true,
    isDue: () => this.#instance.openRequests > 0,
    ask: (signal) => {
      const { heard } = this.#instance;
      return aborted(signal, () => (this.#instance.heard === heard ? undefined : 'it has sent messages'));
    },
  };

  #questionsOf(method: string): OpenQuestions {
    const known = this.#questions.get(method);
    if (known !== undefined) return known;
    const questions = new OpenQuestions(() => this.#instance.ask(method));
    this.#questions.set(method, questions);
    return questions;
  }

  /** Any answer counts, also a refusal. One that has not answered a ping in half of the time is asked for a list, too. */
  #ask(check: 'auto' | 'ping', signal: AbortSignal): Promise<string> {
    const instance = this.#instance;
    return new Promise((resolve, reject) => {
      const asked: (() => void)[] = [];
      const ask = (method: string, how: string) =>
        void asked.push(this.#questionsOf(method).ask((answer) => answer.then(() => resolve(how), reject)));
      const list = check === 'auto' && LISTS.find((name) => name in instance.capabilities);
      const timer = list
        ? this.#clock.after(this.timeout / 2, () => ask(`${list}/list`, `it answers ${list}/list, but no ping`))
        : undefined;
      const end = () => {
        timer?.cancel();
        for (const giveUp of asked) giveUp();
        reject(signal.reason);
      };
      signal.addEventListener('abort', end, { once: true });
      ask('ping', 'it has answered a ping');
    });
  }
}

/** Rejects when `signal` is aborted, unless `found` has an answer then. */
function aborted(signal: AbortSignal, found: () => string | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const end = () => {
      const answer = found();
      if (answer === undefined) reject(signal.reason);
      else resolve(answer);
    };
    signal.addEventListener('abort', end, { once: true });
  });
}
