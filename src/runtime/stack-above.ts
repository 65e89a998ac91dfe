/** The stack of the caller of `callee`. Costs more than a whole warm `getServer()`. */
export function stackAbove(callee: (...args: never[]) => unknown): string | undefined {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, callee);
  return holder.stack;
}
