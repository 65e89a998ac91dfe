import ts from 'typescript';
import { EVENT_ADVICE, EVENT_MAPS } from './event-advice.js';
import { documented, type Sources } from './program.js';
import { fieldTable, shownType } from './types.js';

/** An event of a map of events, such as `PoolEvents`. */
interface EventOf {
  readonly name: string;
  readonly when: string;
  readonly payload: string;
  /** The types with a name that the payload is made of. */
  readonly types: readonly ts.Symbol[];
}

/** The events of a map, in the order of the source. */
function eventsOf({ checker, exported }: Sources, map: string): readonly EventOf[] {
  const type = checker.getDeclaredTypeOfSymbol(exported(map));
  return checker.getPropertiesOfType(type).map((property) => {
    const types: ts.Symbol[] = [];
    const [declaration] = property.declarations ?? [];
    const node = declaration && ts.isPropertySignature(declaration) ? declaration.type : undefined;
    if (node === undefined) throw new Error(`${map} has '${property.name}' without a type`);
    const payload = described(node, checker, types);
    return { name: property.name, when: documented(property, checker), payload, types };
  });
}

/** The payload in words: the named types that it is made of, and its own fields. */
function described(node: ts.TypeNode, checker: ts.TypeChecker, types: ts.Symbol[]): string {
  const parts = ts.isIntersectionTypeNode(node) ? [...node.types] : [node];
  const texts = parts.map((part) => {
    if (ts.isTypeLiteralNode(part)) return fieldsOf(part, checker);
    const [of, omitted] = generic(part);
    const symbol = ts.isTypeReferenceNode(of) ? checker.getSymbolAtLocation(of.typeName) : undefined;
    const real = symbol && symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    if (real === undefined) return fieldsOf(part, checker);
    types.push(real);
    return `[${real.name}](#${real.name.toLowerCase()})${omitted}`;
  });
  return texts.filter((text) => text !== '').join(', ');
}

/** `Partial<T>` and `Omit<T, …>`: T, and what is other about it. */
function generic(node: ts.TypeNode): [of: ts.TypeNode, what: string] {
  if (!ts.isTypeReferenceNode(node)) return [node, ''];
  const [of, omitted] = node.typeArguments ?? [];
  if (of === undefined) return [node, ''];
  const names = omitted?.getText().replaceAll("'", '`').replaceAll(' | ', ', ') ?? '';
  return [of, node.typeName.getText() === 'Omit' ? ` without ${names}` : ', or none of it'];
}

function fieldsOf(node: ts.TypeNode, checker: ts.TypeChecker): string {
  const properties = checker.getPropertiesOfType(checker.getTypeFromTypeNode(node));
  return properties.map((property) => `\`${property.name}\` (${shownType(property, checker)})`).join(', ');
}

/** The blocks of docs/events.md. */
export function eventBlocks(sources: Sources): Readonly<Record<string, string>> {
  const seen = new Set<string>();
  const shown = new Map<string, ts.Symbol>();
  const blocks = Object.entries(EVENT_MAPS).map(([map, groups]) => {
    const events = eventsOf(sources, map).filter(({ name }) => !seen.has(name));
    const parts = Object.entries(groups).flatMap(([title, pattern]) => {
      const those = events.filter(({ name }) => !seen.has(name) && pattern.test(name));
      for (const { name, types } of those) {
        seen.add(name);
        for (const type of types) shown.set(type.name, type);
      }
      return [title === '' ? '' : `### ${title}`, ...those.flatMap(sectionOf)].filter((text) => text !== '');
    });
    return [`events: ${map}`, `${parts.join('\n\n')}\n`] as const;
  });
  const tables = [...shown]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, symbol]) => `### ${name}\n\n${fieldTable(sources, symbol)}`);
  return { ...Object.fromEntries(blocks), 'events: payloads': tables.join('\n') };
}

function sectionOf({ name, when, payload }: EventOf): string[] {
  return [`#### \`${name}\``, when, `- Payload: ${payload}.\n- What to do: ${EVENT_ADVICE[name] ?? ''}`];
}

/** What does not agree between the maps of events and what is said about them: empty when all does. */
export function eventProblems(sources: Sources): string[] {
  const events = Object.keys(EVENT_MAPS).flatMap((map) => eventsOf(sources, map));
  const names = new Set(events.map(({ name }) => name));
  const blocks = Object.values(eventBlocks(sources)).join('\n');
  return [
    ...[...names].filter((name) => EVENT_ADVICE[name] === undefined).map((name) => `${name}: no advice`),
    ...Object.keys(EVENT_ADVICE)
      .filter((name) => !names.has(name))
      .map((name) => `${name}: is no event`),
    ...[...names].filter((name) => !blocks.includes(`#### \`${name}\`\n`)).map((name) => `${name}: is in no group`),
    ...events.filter(({ when }) => when === '').map(({ name }) => `${name}: no comment`),
  ];
}

/** The maps of events that the classes which the package exports have: what each extends `SafeEmitter` with. */
export function emittedMaps({ files }: Sources): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isHeritageClause(node)) {
      const [{ expression, typeArguments } = {}] = node.types;
      if (expression?.getText() === 'SafeEmitter') found.push(typeArguments?.[0]?.getText() ?? '?');
    }
    ts.forEachChild(node, visit);
  };
  for (const file of files) visit(file);
  return found;
}
