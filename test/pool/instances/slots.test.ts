import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PooledInstance } from '../../../src/pool/instances/pooled-instance.js';
import { ServerEntry } from '../../../src/pool/instances/server-entry.js';
import { Slots } from '../../../src/pool/instances/slots.js';
import type { ServerState } from '../../../src/server/server-state.js';

/** An instance as its slot sees it. */
interface Tree {
  state: ServerState;
  readonly entry: ServerEntry;
  /** Whether it has a slot of its own. */
  holds: boolean;
  predecessor: Tree | undefined;
  successor: Tree | undefined;
}
const as = (tree: Tree) => tree as unknown as PooledInstance;

type Step = { readonly do: 'start' | 'succeed' | 'end' | 'quarantine' | 'separate' | 'die'; readonly which: number };
const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom<Step['do'][]>('start', 'succeed', 'end', 'quarantine', 'separate', 'die'),
  which: fc.nat(30),
});

/** The trees of two servers, with the calls that a fleet makes for them. */
class World {
  readonly slots = new Slots(100);
  readonly entries = [new ServerEntry('a'), new ServerEntry('b')] as const;
  readonly trees = new Set<Tree>();
  #most = 0;

  take({ do: what, which }: Step): void {
    const tree = [...this.trees][which % Math.max(this.trees.size, 1)];
    if (what === 'start') this.#start(this.entries[which % 2] as ServerEntry);
    else if (tree === undefined) return;
    else if (what === 'succeed') this.#succeed(tree);
    else if (what === 'end') this.#end(tree);
    else if (what === 'quarantine') this.#quarantine(tree);
    else if (what === 'separate') this.#separate(tree);
    else if (tree.state === 'stopping' || tree.state === 'quarantined') this.#die(tree);
  }

  check(): void {
    const all = [...this.trees];
    const holding = all.filter(({ holds }) => holds);
    this.#most = Math.max(this.#most, holding.length);
    // What is being ended gives its slot back, unless a successor gets it.
    const ending = holding.filter(({ state, successor }) => state === 'stopping' && successor === undefined);
    expect(this.slots.used).toBe(holding.length);
    expect(this.slots.mostUsed).toBe(this.#most);
    expect(this.slots.ending).toBe(ending.length);
    for (const entry of this.entries) {
      expect(entry.used).toBe(holding.filter((tree) => tree.entry === entry).length);
      expect(entry.ending).toEqual(new Set(ending.filter((tree) => tree.entry === entry)));
    }
    for (const tree of all) {
      expect(this.slots.predecessorOf(as(tree))).toBe(tree.predecessor);
      expect(this.slots.successorOf(as(tree))).toBe(tree.successor);
    }
  }

  #start(entry: ServerEntry): void {
    if (this.slots.isFull) return;
    this.slots.take(entry);
    this.trees.add({ state: 'starting', entry, holds: true, predecessor: undefined, successor: undefined });
  }

  #succeed(predecessor: Tree): void {
    if (predecessor.successor || predecessor.state === 'quarantined') return;
    const { entry } = predecessor;
    const successor: Tree = { state: 'starting', entry, holds: false, predecessor, successor: undefined };
    predecessor.successor = successor;
    this.trees.add(successor);
    this.slots.bequeath(entry, as(predecessor), as(successor));
  }

  #end(tree: Tree): void {
    if (tree.state !== 'starting' && tree.state !== 'ready') return;
    tree.state = 'stopping';
    this.slots.free(tree.entry, as(tree));
    // What never had a process is dead at once.
    if (!tree.holds) this.#die(tree);
  }

  #quarantine(tree: Tree): void {
    if (tree.state !== 'stopping') return;
    tree.state = 'quarantined';
    this.slots.keep(tree.entry, as(tree));
  }

  #separate(tree: Tree): void {
    if (tree.state !== 'quarantined') return;
    this.slots.separate(tree.entry, as(tree));
    if (tree.successor) {
      tree.successor.holds = true;
      tree.successor.predecessor = undefined;
      tree.successor = undefined;
    }
  }

  #die(tree: Tree): void {
    const { predecessor, successor } = tree;
    this.trees.delete(tree);
    this.slots.giveBack(tree.entry, as(tree));
    if (predecessor) {
      predecessor.successor = successor;
      if (successor) successor.predecessor = predecessor;
    } else if (successor) {
      successor.predecessor = undefined;
      successor.holds = true;
    }
  }
}

describe('slots', () => {
  it('[BUDGET-1] are counted as a list of trees would be, whichever process succeeds another and in whatever order they die', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const world = new World();
        for (const next of steps) {
          world.take(next);
          world.check();
        }
        // Everything ends: no slot is left.
        for (let rest = [...world.trees]; rest.length > 0; rest = [...world.trees]) {
          for (const what of ['end', 'die'] as const) world.take({ do: what, which: 0 });
          world.check();
        }
        expect([world.slots.used, world.slots.ending]).toEqual([0, 0]);
      }),
    );
  });

  it('[BUDGET-1] are full at their limit', () => {
    const slots = new Slots(2);
    const entry = new ServerEntry('a');
    slots.take(entry);
    expect(slots.isFull).toBe(false);
    slots.take(entry);
    expect(slots.isFull).toBe(true);
  });
});
