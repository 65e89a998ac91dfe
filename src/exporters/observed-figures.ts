import type { BatchObservableCallback, Meter, Observable } from '@opentelemetry/api';
import type { MCPServerPool } from '../index.js';
import { BoundedNames } from './bounded-names.js';
import { FIGURES, type Figure } from './figures.js';
import { MOST_SERVERS } from './server-label.js';
import { takeSnapshot } from './snapshot.js';

const UNITS = { bytes: 'By', cores: '{core}', ratio: '1', seconds: 's' } as const;

/**
 * Observes the figures of a pool when a reader collects.
 * @returns a function that ends this
 */
export function observeFigures(pool: MCPServerPool, meter: Meter): () => void {
  const labels = { servers: new BoundedNames(MOST_SERVERS), tenants: undefined };
  const observed = FIGURES.map((figure) => ({ figure, instrument: instrumentOf(meter, figure) }));
  const instruments = observed.map(({ instrument }) => instrument);
  const observe: BatchObservableCallback = (result) => {
    const snapshot = takeSnapshot(pool, labels);
    for (const { figure, instrument } of observed) {
      const names = figure.labels.map((label) => `mcp_pool.${label}`);
      figure.read(snapshot, (value, ...values) => {
        // Without a cap the number of slots is infinite, which not every exporter can write.
        if (!Number.isFinite(value)) return;
        result.observe(instrument, value, Object.fromEntries(names.map((name, index) => [name, values[index]])));
      });
    }
  };
  meter.addBatchObservableCallback(observe, instruments);
  return () => meter.removeBatchObservableCallback(observe, instruments);
}

function instrumentOf(meter: Meter, { name, kind, unit, help }: Figure): Observable {
  const options = { description: help, ...(unit === undefined ? {} : { unit: UNITS[unit] }) };
  return kind === 'counter'
    ? meter.createObservableCounter(`mcp_pool.${name}`, options)
    : meter.createObservableGauge(`mcp_pool.${name}`, options);
}
