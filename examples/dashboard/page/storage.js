// A browser may forbid a page to keep anything. Then it works all the same.

/** What was kept under this name; undefined when nothing was. */
export function recall(name) {
  try {
    return localStorage.getItem(`mcp-dashboard-${name}`) ?? undefined;
  } catch {
    return undefined;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`mcp-dashboard-${name}`, value);
  } catch {
    // Forbidden, or full.
  }
}
