import ts from 'typescript';
import type { Sources } from './program.js';

/** What the errors of one code have. */
export interface ErrorSite {
  readonly data: Set<string>;
  hasCause: boolean;
}

type Call = ts.CallExpression | ts.NewExpression;

/** The codes, with what the errors of each may have in `data`: found by following what each `new PoolError(…)` is given. */
export function errorSites(sources: Sources): ReadonlyMap<string, ErrorSite> {
  const values = new Values(sources);
  const result = new Map<string, ErrorSite>();
  for (const { arguments: given } of values.errors) {
    const [code, , data, cause] = given ?? [];
    if (code === undefined) continue;
    values.forEachCaller(code, () => {
      const fields = data === undefined ? [] : values.fieldsOf(data);
      for (const name of values.codesOf(code)) {
        const site = result.get(name) ?? { data: new Set<string>(), hasCause: false };
        for (const field of fields) site.data.add(field);
        site.hasCause ||= cause !== undefined;
        result.set(name, site);
      }
    });
  }
  return result;
}

/** More than any expression names one by one: so many are those of the type of all codes. */
const MANY = 12;

/** What is copied from another error. */
const OF_ANOTHER = /\.(?:code|data)$/;

/** Where values come from: through variables, parameters, properties and what functions return. */
class Values {
  /** The calls of `new PoolError()`. */
  readonly errors: ts.NewExpression[] = [];
  readonly #checker: ts.TypeChecker;
  /** By the name of what is called: to resolve each call of the sources would take a minute. */
  readonly #calls = new Map<string, Call[]>();
  /** By name, what object literals give to a property. */
  readonly #properties = new Map<string, ts.Expression[]>();
  readonly #methods = new Map<string, ts.MethodDeclaration[]>();

  /** What the parameters of the functions that are followed just now are given. */
  readonly #given = new Map<ts.ParameterDeclaration, ts.Expression | undefined>();

  constructor({ checker, files }: Sources) {
    this.#checker = checker;
    for (const file of files) this.#collect(file);
  }

  #collect(node: ts.Node): void {
    if (ts.isNewExpression(node) && node.expression.getText() === 'PoolError') this.errors.push(node);
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) add(this.#calls, calledName(node), node);
    if (ts.isPropertyAssignment(node)) add(this.#properties, node.name.getText(), node.initializer);
    if (ts.isMethodDeclaration(node)) add(this.#methods, node.name.getText(), node);
    ts.forEachChild(node, (child) => this.#collect(child));
  }

  /** Calls back for each call of the function that `expression` is a parameter of, or once where it is none. */
  forEachCaller(expression: ts.Expression, callback: () => void): void {
    const declaration = ts.isIdentifier(expression) ? this.#declarationOf(expression) : undefined;
    if (declaration === undefined || !ts.isParameter(declaration)) return callback();
    for (const call of this.#callsOf(declaration.parent)) {
      this.#give(declaration.parent, call);
      callback();
    }
    for (const parameter of declaration.parent.parameters) this.#given.delete(parameter);
  }

  #give(owner: ts.SignatureDeclaration, call: Call): void {
    for (const [index, parameter] of owner.parameters.entries()) this.#given.set(parameter, call.arguments?.[index]);
  }

  /** The codes that an expression may be; none where it is that of another error, which was made elsewhere. */
  codesOf(expression: ts.Expression, seen = new Set<ts.Node>()): string[] {
    if (seen.has(expression) || OF_ANOTHER.test(expression.getText())) return [];
    seen.add(expression);
    const type = this.#checker.getTypeAtLocation(expression);
    const literals = (type.isUnion() ? type.types : [type]).flatMap((one) =>
      one.isStringLiteral() ? [one.value] : [],
    );
    if (literals.length > 0 && literals.length < MANY) return literals;
    const parts = ts.isBinaryExpression(expression) ? [expression.left, expression.right] : this.#sourcesOf(expression);
    return parts.flatMap((part) => this.codesOf(part, seen));
  }

  /** The properties that the value of an expression may have. */
  fieldsOf(expression: ts.Expression, seen = new Set<ts.Node>()): string[] {
    if (seen.has(expression) || OF_ANOTHER.test(expression.getText())) return [];
    seen.add(expression);
    if (ts.isBinaryExpression(expression)) return this.fieldsOf(expression.right, seen);
    if (ts.isObjectLiteralExpression(expression)) {
      return expression.properties.flatMap((property) =>
        ts.isSpreadAssignment(property) ? this.fieldsOf(property.expression, seen) : [property.name?.getText() ?? ''],
      );
    }
    return this.#sourcesOf(expression).flatMap((part) => this.fieldsOf(part, seen));
  }

  /** The expressions that give an expression its value, as far as they can be followed. */
  #sourcesOf(expression: ts.Expression): readonly ts.Expression[] {
    if (ts.isParenthesizedExpression(expression) || ts.isAsExpression(expression)) return [expression.expression];
    if (ts.isConditionalExpression(expression)) return [expression.whenTrue, expression.whenFalse];
    if (ts.isCallExpression(expression)) return this.#returnedBy(expression);
    if (ts.isPropertyAccessExpression(expression)) return this.#properties.get(expression.name.text) ?? [];
    const declaration = ts.isIdentifier(expression) ? this.#declarationOf(expression) : undefined;
    if (declaration === undefined) return [];
    if (ts.isParameter(declaration)) return [...this.#argumentsFor(declaration), ...initial(declaration)];
    if (ts.isVariableDeclaration(declaration)) return initial(declaration);
    return ts.isBindingElement(declaration) ? this.#destructured(declaration) : [];
  }

  #destructured(element: ts.BindingElement): readonly ts.Expression[] {
    const name = (element.propertyName ?? element.name).getText();
    const holder = element.parent.parent;
    const [from] = ts.isVariableDeclaration(holder) ? initial(holder) : [];
    return from === undefined ? (this.#properties.get(name) ?? []) : this.#membersOf(from, name);
  }

  /** What the object that an expression gives has under a name. */
  #membersOf(expression: ts.Expression, name: string, seen = new Set<ts.Node>()): readonly ts.Expression[] {
    if (seen.has(expression)) return [];
    seen.add(expression);
    if (!ts.isObjectLiteralExpression(expression))
      return this.#sourcesOf(expression).flatMap((part) => this.#membersOf(part, name, seen));
    return expression.properties.flatMap((one) =>
      ts.isPropertyAssignment(one) && one.name.getText() === name ? [one.initializer] : [],
    );
  }

  #declarationOf(identifier: ts.Identifier): ts.Declaration | undefined {
    const symbol = ts.isShorthandPropertyAssignment(identifier.parent)
      ? this.#checker.getShorthandAssignmentValueSymbol(identifier.parent)
      : this.#checker.getSymbolAtLocation(identifier);
    return symbol?.valueDeclaration;
  }

  #argumentsFor(parameter: ts.ParameterDeclaration): ts.Expression[] {
    const of = (given: ts.Expression | undefined) => (given === undefined ? [] : [given]);
    if (this.#given.has(parameter)) return of(this.#given.get(parameter));
    const index = parameter.parent.parameters.indexOf(parameter);
    return this.#callsOf(parameter.parent).flatMap((call) => of(call.arguments?.[index]));
  }

  #callsOf(owner: ts.SignatureDeclaration): Call[] {
    const named = ts.isConstructorDeclaration(owner) || owner.name === undefined ? owner.parent : owner;
    const name = ts.getNameOfDeclaration(named as ts.Declaration)?.getText() ?? '';
    return (this.#calls.get(name) ?? []).filter((call) => this.#isCallOf(call, owner));
  }

  #isCallOf(call: Call, owner: ts.SignatureDeclaration): boolean {
    const declaration = this.#checker.getResolvedSignature(call)?.declaration;
    // A call through an interface may be one of each method of that name.
    return declaration === owner || (declaration !== undefined && ts.isMethodSignature(declaration));
  }

  #returnedBy(call: ts.CallExpression): readonly ts.Expression[] {
    const declaration = this.#checker.getResolvedSignature(call)?.declaration;
    if (declaration === undefined) return [];
    const isInterface = ts.isMethodSignature(declaration);
    const owners = isInterface ? (this.#methods.get(declaration.name.getText()) ?? []) : [declaration];
    return owners.flatMap((owner) => {
      this.#give(owner as ts.SignatureDeclaration, call);
      const { body } = owner as ts.FunctionLikeDeclaration;
      return body === undefined ? [] : ts.isBlock(body) ? returnedIn(body) : [body as ts.Expression];
    });
  }
}

function add<T>(map: Map<string, T[]>, name: string, item: T): void {
  const items = map.get(name);
  if (items) items.push(item);
  else map.set(name, [item]);
}

function calledName({ expression }: Call): string {
  return ts.isPropertyAccessExpression(expression) ? expression.name.text : expression.getText();
}

function initial({ initializer }: ts.VariableDeclaration | ts.ParameterDeclaration): readonly ts.Expression[] {
  return initializer === undefined ? [] : [initializer];
}

function returnedIn(node: ts.Node): ts.Expression[] {
  if (ts.isFunctionLike(node)) return [];
  if (ts.isReturnStatement(node)) return node.expression ? [node.expression] : [];
  const found: ts.Expression[] = [];
  ts.forEachChild(node, (child) => {
    found.push(...returnedIn(child));
  });
  return found;
}
