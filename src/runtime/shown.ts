/** What `util.inspect` and `console.log` call as a method to show an object. */
export type Inspect = (value: unknown, options: object) => string;

/** Shows an object to `util.inspect` by its name and by what its `toJSON()` returns: none of its insides. */
export function shown(name: string, json: object, depth: number, options: object, inspect: Inspect): string {
  return depth < 0 ? `[${name}]` : `${name} ${inspect(json, options)}`;
}
