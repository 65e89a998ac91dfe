/** Lets the event loop handle what has happened already. Counted in turns, not in time, which may pass without one. */
export async function turnsOfEventLoop(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
