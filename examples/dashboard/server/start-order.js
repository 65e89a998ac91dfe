import { SequenceManager } from 'mcp-server-pool';

/** The waves in which servers start, by their `dependsOn`; they end in reverse. Computed again only when these change. */
export class StartOrder {
  #pool;
  #key;
  #plan;

  constructor(pool) {
    this.#pool = pool;
  }

  /** Undefined where no server depends on another one: then there is no order. */
  get plan() {
    const edges = Object.entries(this.#pool.status().servers)
      .filter(([, { defined }]) => defined)
      .map(([name]) => [name, needsOf(this.#pool.getDefinition(name))]);
    const key = JSON.stringify(edges);
    if (key !== this.#key) {
      this.#key = key;
      this.#plan = edges.every(([, needs]) => needs.length === 0) ? undefined : planOf(edges);
    }
    return this.#plan;
  }
}

/** `dependsOn` is an array of names, or an object with a condition for each. */
function needsOf({ dependsOn = [] }) {
  return Array.isArray(dependsOn) ? dependsOn : Object.keys(dependsOn);
}

function planOf(edges) {
  const steps = edges.map(([id, dependsOn]) => ({ id, dependsOn, start: () => {} }));
  const { waves, criticalPath } = new SequenceManager(steps).plan('start');
  return { waves, criticalPath, needs: Object.fromEntries(edges) };
}
