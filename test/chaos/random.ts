/** `CHAOS_SEED`, or another in each run; titles of tests say which. */
export const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32): what a run found can be looked for again. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
