// Deciding in which order 1,000 steps start, against a bare topological sort of the same graph.
import { DepGraph } from 'dependency-graph';
import { SequenceManager } from '../../dist/index.js';
import { benchmark, ratioRow, shareRow, takeTurns, timed } from './harness.js';

const STEPS = 1_000;
/** How many steps each one needs, among the 50 before it. */
const NEEDS = 3;
const TARGET = 3;
const start = () => {};

/** The same graph in each run. */
const edges = Array.from({ length: STEPS }, (_, step) =>
  Array.from({ length: Math.min(NEEDS, step) }, (__, need) => Math.max(0, step - 1 - ((step * 7 + need * 17) % 50))),
);
const idOf = (step) => `step-${step}`;
const needsOf = (step) => [...new Set(edges[step])].map(idOf);
const steps = edges.map((_, step) => ({ id: idOf(step), dependsOn: needsOf(step), start }));

function built() {
  const graph = new DepGraph();
  for (const { id } of steps) graph.addNode(id);
  for (const { id, dependsOn } of steps) for (const need of dependsOn) graph.addDependency(id, need);
  return graph;
}

await benchmark('sequence: deciding a graph', async (report) => {
  const compare = async (ours, theirs) => {
    const sides = { ours: () => timed(ours), theirs: () => timed(theirs) };
    return { peer: 'dependency-graph', ...(await takeTurns(sides, { rounds: 101, warmUp: 20 })) };
  };
  const manager = new SequenceManager(steps);
  const graph = built();
  const sorted = await compare(
    () => manager.plan(),
    () => graph.overallOrder(),
  );
  report(shareRow({ what: `waves and longest chain of ${STEPS} steps`, ...sorted, target: TARGET }));
  // It checks nothing of what it gets: so there is no target.
  const read = await compare(
    () => new SequenceManager(steps).plan(),
    () => built().overallOrder(),
  );
  report(ratioRow({ what: 'the same, with its options read and checked', ...read, target: 0 }));
});
