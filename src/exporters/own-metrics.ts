import { Counter, Gauge, Histogram, type Metric, type OpenMetricsContentType, type Registry } from 'prom-client';
import type { Figure } from './figures.js';
import type { Snapshot } from './snapshot.js';

/** The metrics that one `collectPool()` has added to a registry: added, and removed together. */
export class OwnMetrics {
  readonly #register: Registry | Registry<OpenMetricsContentType>;
  readonly #prefix: string;
  readonly #made = new Map<string, Metric>();

  constructor(register: Registry | Registry<OpenMetricsContentType>, prefix: string) {
    this.#register = register;
    this.#prefix = prefix;
  }

  /** A figure of the pool, which is read when the registry is printed. */
  figure({ name, kind, unit, help, labels, read }: Figure, snapshot: () => Snapshot): void {
    const named = this.#named(unit === undefined ? name : `${name}_${unit}`, help, labels);
    if (kind === 'counter') {
      this.#add(
        new Counter({
          ...counted(named),
          collect() {
            this.reset();
            read(snapshot(), (value, ...values) => this.inc(labelled(labels, values), value));
          },
        }),
        counted(named),
      );
      return;
    }
    this.#add(
      new Gauge({
        ...named,
        collect() {
          // One without labels would begin with 0: what is not known has no value.
          if (labels.length === 0) this.remove();
          else this.reset();
          read(snapshot(), (value, ...values) => this.set(labelled(labels, values), value));
        },
      }),
      named,
    );
  }

  counter(name: string, help: string, labels: readonly string[]): Counter {
    const named = counted(this.#named(name, help, labels));
    return this.#add(new Counter(named), named);
  }

  /** @param buckets upper bounds, in seconds */
  histogram(name: string, help: string, labels: readonly string[], buckets: readonly number[]): Histogram {
    const named = this.#named(`${name}_seconds`, help, labels);
    return this.#add(new Histogram({ ...named, buckets: [...buckets] }), named);
  }

  /** Takes them out of the registry, but nothing that the host has registered under such a name since. */
  remove(): void {
    for (const [name, metric] of this.#made) {
      if (this.#register.getSingleMetric(name) === metric) this.#register.removeSingleMetric(name);
    }
    this.#made.clear();
  }

  #named(name: string, help: string, labelNames: readonly string[]) {
    return { name: `${this.#prefix}${name}`, help, labelNames, registers: [this.#register] };
  }

  /** Under the name that it was registered with: a registry of the format OpenMetrics changes that of the metric itself. */
  #add<M extends Metric>(metric: M, { name }: { readonly name: string }): M {
    this.#made.set(name, metric);
    return metric;
  }
}

/** What Prometheus expects of the name of a counter. */
function counted<N extends { readonly name: string }>(named: N): N {
  return { ...named, name: `${named.name}_total` };
}

function labelled(names: readonly string[], values: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let index = 0; index < names.length; index++) labels[names[index] as string] = values[index] as string;
  return labels;
}
