import ts from 'typescript';
import { ERROR_ADVICE } from './error-advice.js';
import { errorSites } from './error-sites.js';
import { oneLine, type Sources, sorted } from './program.js';
import { fieldTable } from './types.js';

/** The codes of the type `PoolErrorCode`, with the comment of each. */
function errorCodes({ exported }: Sources): ReadonlyMap<string, string> {
  const [declaration] = exported('PoolErrorCode').declarations ?? [];
  if (declaration === undefined || !ts.isTypeAliasDeclaration(declaration) || !ts.isUnionTypeNode(declaration.type))
    throw new Error('PoolErrorCode is no union of words');
  const text = declaration.getSourceFile().text;
  return new Map(
    declaration.type.types.map((member) => {
      // It stands before the `|`, and so belongs to no node.
      const before = text.slice(0, text.lastIndexOf('|', member.getStart()));
      const [, comment = ''] = /\/\*\*((?:(?!\*\/).)*)\*\/\s*$/s.exec(before) ?? [];
      return [member.getText().slice(1, -1), oneLine(comment.replaceAll(/^\s*\*/gm, ' '))] as const;
    }),
  );
}

/** The blocks of docs/errors.md. */
export function errorBlocks(sources: Sources): Readonly<Record<string, string>> {
  const codes = errorCodes(sources);
  const sites = errorSites(sources);
  const order = Object.keys(fieldsOf(sources, 'PoolErrorData'));
  const section = ([code, advice]: [string, string]) => {
    const { data = new Set<string>(), hasCause = false } = sites.get(code) ?? {};
    const names = order.filter((name) => data.has(name)).map((name) => `\`${name}\``);
    const also = hasCause ? '; may have a `cause`' : '';
    return [
      `### \`${code}\``,
      `${codes.get(code)}`,
      `- Data: ${names.length > 0 ? names.join(', ') : 'none'}${also}.\n- What to do: ${advice}`,
    ];
  };
  const parts = Object.entries(ERROR_ADVICE).flatMap(([title, advice]) => [
    `## ${title}`,
    ...Object.entries(advice).flatMap(section),
  ]);
  return {
    'errors: codes': `${parts.join('\n\n')}\n`,
    'errors: data': fieldTable(sources, sources.exported('PoolErrorData')),
    'errors: lost requests': fieldTable(sources, sources.exported('LostRequestData')),
  };
}

function fieldsOf({ checker, exported }: Sources, name: string): Record<string, true> {
  const type = checker.getDeclaredTypeOfSymbol(exported(name));
  return Object.fromEntries(checker.getPropertiesOfType(type).map((property) => [property.name, true]));
}

/** What does not agree between the code and what is said about it: empty when all does. */
export function errorProblems(sources: Sources): string[] {
  const codes = errorCodes(sources);
  const sites = errorSites(sources);
  const known = new Set(Object.keys(fieldsOf(sources, 'PoolErrorData')));
  const advised = Object.values(ERROR_ADVICE).flatMap((advice) => Object.keys(advice));
  const made = [...sites].filter(([code]) => codes.has(code));
  return [
    ...sorted([...codes.keys()].filter((code) => !advised.includes(code))).map((code) => `${code}: no advice`),
    ...sorted(advised.filter((code) => !codes.has(code))).map((code) => `${code}: is no code`),
    ...advised.filter((code, index) => advised.indexOf(code) !== index).map((code) => `${code}: twice`),
    ...sorted([...codes.keys()].filter((code) => !sites.has(code))).map((code) => `${code}: nothing throws it`),
    ...[...codes].filter(([, comment]) => comment === '').map(([code]) => `${code}: no comment`),
    ...made.flatMap(([code, { data }]) =>
      [...data].filter((field) => !known.has(field)).map((field) => `${code}: data has no '${field}'`),
    ),
  ];
}
