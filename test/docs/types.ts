import ts from 'typescript';
import { tableOf } from './blocks.js';
import { documented, type Sources } from './program.js';

const FLAGS = ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope;

/** A table of the properties of a type: name, type, comment. */
export function fieldTable({ checker }: Sources, symbol: ts.Symbol): string {
  const properties = checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol));
  const rows = properties.map((property) => [
    `\`${property.name}\``,
    cell(shownType(property, checker)),
    cell(documented(property, checker)),
  ]);
  return tableOf(['field', 'type', 'meaning'], rows, { endsOpen: true });
}

/** A longer type is named as it is declared: its members are in the API reference. */
const LONGEST = 100;

/** The type of a property, as code. That it may be left out is not shown. */
export function shownType(property: ts.Symbol, checker: ts.TypeChecker): string {
  const [declaration] = property.declarations ?? [];
  const type = declaration
    ? checker.getTypeOfSymbolAtLocation(property, declaration)
    : checker.getTypeOfSymbol(property);
  const text = plain(checker.typeToString(type, undefined, FLAGS));
  const node = declaration && ts.isPropertySignature(declaration) ? declaration.type : undefined;
  const shown = text.length > LONGEST && node ? plain(node.getText()) : text;
  const isOptional = (property.flags & ts.SymbolFlags.Optional) !== 0;
  return `\`${(isOptional ? shown.replace(/ \| undefined$/, '') : shown).slice(0, 2 * LONGEST)}\``;
}

function plain(type: string): string {
  return type
    .replaceAll('readonly ', '')
    .replaceAll(/import\("[^"]*"\)\./g, '')
    .replaceAll('"', "'")
    .replaceAll(/\s+/g, ' ');
}

/** A cell of a table: `|` would end it. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
